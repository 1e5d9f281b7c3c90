"""TD107 to TD109: dropout that a file makes by hand."""

import pytest
import torch

from _marks import fixed, marked
from torchdropout_audit.comments import suppress
from torchdropout_audit.registry import RULES
from torchdropout_audit.source import audit_text

ALWAYS = "mask-always-on"
SCALE = "mask-not-scaled"
LOCAL = "local-dropout-without-mode"

LAYER = """
class Drop(nn.Module):
    def __init__(self, drop_prob=0.1):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
"""
SCALED = f"{LAYER}        p, keep = self.drop_prob, 1 - self.drop_prob\n        x = x / keep\n"
MASKS = [
    "torch.rand_like(x) > self.drop_prob",
    "(torch.rand_like(x) >= p).float()",
    "(p < torch.rand(x.shape, device=x.device)).to(x.dtype)",
    "(torch.rand(x.size(0), 1).cuda() < keep).type_as(x).expand_as(x)",
    "torch.bernoulli(torch.full_like(x, keep))",
    "torch.bernoulli(torch.ones_like(x) * (1 - self.drop_prob))",
    "torch.empty_like(x).bernoulli_(keep)",
    "x.new_empty(x.shape[:1]).bernoulli_(1 - p).unsqueeze(-1)",
    "(x.new(x.shape).uniform_() > p)",
    "(keep + torch.rand_like(x)).floor_()",
    "torch.floor(torch.rand_like(x) + keep)",
    "torch.distributions.Bernoulli(keep).sample(x.shape)",
    "torch.autograd.Variable(torch.bernoulli(x.new(x.shape).fill_(keep)))",
    "(~(torch.rand_like(x) < p))",
    "1 - torch.bernoulli(torch.full_like(x, p))",
]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    "product", ["return x * mask", "return mask * x", "return x.mul(mask)", "x *= mask"]
)
def test_masks(mask, product):
    source = f"{SCALED}        mask = {mask}\n        {product}  #!\n"
    found, expected = marked(ALWAYS, source)
    assert found == expected
    assert len(expected) == 1


@pytest.mark.parametrize("mask", MASKS)
def test_masks_under_training(mask):
    source = f"{SCALED}        if self.training:\n            x = x * ({mask})\n        return x\n"
    assert marked(ALWAYS, source) == ([], [])


@pytest.mark.parametrize(
    "mask",
    [
        "torch.rand(1) > self.drop_prob",
        "torch.rand(()) > self.drop_prob",
        "torch.rand((1, 1)) > self.drop_prob",
        "torch.randn_like(x) > self.drop_prob",
        "(x > self.drop_prob)",
        "torch.rand_like(x) * self.drop_prob",
        "torch.rand_like(x) == self.drop_prob",
        "torch.bernoulli(self.gates)",
        "torch.rand_like(x) > 0.5",
    ],
)
def test_what_is_not_a_mask(mask):
    assert marked(ALWAYS, f"{SCALED}        return x * ({mask})\n") == ([], [])


@pytest.mark.parametrize(
    ("name", "is_dropout"),
    [("Dropout", True), ("WordDrop", True), ("Noise", False), ("Masking", False)],
)
def test_a_plain_rate_counts_in_a_dropout_only(name, is_dropout):
    source = LAYER.replace("drop_prob", "p").replace("Drop(", f"{name}(")
    found, _ = marked(ALWAYS, f"{source}        return x * (torch.rand_like(x) > self.p)\n")
    assert bool(found) is is_dropout


def test_not_in_a_test_nor_outside_a_step():
    source = f"{LAYER}        return x * (torch.rand_like(x) > self.drop_prob)\n"
    assert marked(ALWAYS, source)[0] != []
    assert marked(ALWAYS, source, "tests/test_x.py")[0] == []
    assert marked(ALWAYS, source.replace("forward", "augment"))[0] == []
    assert marked(ALWAYS, source.replace("(nn.Module)", ""))[0] == []


UNSCALED = f"{LAYER}        if not self.training:\n            return x\n"


@pytest.mark.parametrize(
    "product",
    [
        "x * mask",
        "x.masked_fill(~mask, 0)",
        "x.masked_fill(mask == 0, 0.0)",
        "torch.tanh(x * mask)",
    ],
)
def test_not_scaled(product):
    draw = "        mask = torch.rand_like(x) > self.drop_prob\n"
    found, expected = marked(SCALE, f"{UNSCALED}{draw}        return {product}  #?\n")
    assert found == (expected if "~" not in product else [])


@pytest.mark.parametrize(
    "product",
    [
        "x * mask / (1 - self.drop_prob)",
        "x * mask * self.scale",
        "x * mask.div(1 - self.drop_prob)",
        "x * mask * (1 - self.drop_prob) ** -1",
        "x * mask + self.old * (1 - mask)",
        "x * mask + self.old * ~mask",
        "F.normalize(x * mask)",
        "x.masked_fill(mask, -1e9)",
    ],
)
def test_scaled_or_no_zero(product):
    draw = "        mask = torch.rand_like(x) > self.drop_prob\n"
    assert marked(SCALE, f"{UNSCALED}{draw}        return {product}\n") == ([], [])


WRONG = """
class Drop(nn.Module):
    def __init__(self, drop_prob=0.1):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        if not self.training:
            return x
        mask = {mask}
        return x * mask / {divisor}  #{mark}
"""


@pytest.mark.parametrize(
    ("mask", "divisor", "is_wrong"),
    [
        ("torch.rand_like(x) > self.drop_prob", "self.drop_prob", True),
        ("self.drop_prob < torch.rand_like(x)", "self.drop_prob", True),
        ("torch.rand_like(x) < 1 - self.drop_prob", "self.drop_prob", True),
        ("torch.bernoulli(torch.ones_like(x) * (1 - self.drop_prob))", "self.drop_prob", True),
        ("torch.empty_like(x).bernoulli_(1 - self.drop_prob)", "self.drop_prob", True),
        ("torch.rand_like(x) > self.drop_prob", "(1 - self.drop_prob)", False),
        ("torch.rand_like(x) < self.drop_prob", "self.drop_prob", False),
        ("torch.bernoulli(torch.ones_like(x) * self.drop_prob)", "self.drop_prob", False),
        ("~(torch.rand_like(x) > self.drop_prob)", "self.drop_prob", False),
        ("1 - torch.empty_like(x).bernoulli_(1 - self.drop_prob)", "self.drop_prob", False),
        ("torch.rand_like(x) > self.drop_prob", "self.keep_prob", False),
    ],
)
def test_divided_by_the_wrong_probability(mask, divisor, is_wrong):
    source = WRONG.format(mask=mask, divisor=divisor, mark="!" if is_wrong else "")
    found, expected = marked(SCALE, source)
    assert found == expected


def test_a_mask_that_is_always_on_is_not_also_unscaled():
    source = f"{LAYER}        return x * (torch.rand_like(x) > self.drop_prob)\n"
    assert {f.name for f in audit_text("import torch\nfrom torch import nn\n" + source)} == {ALWAYS}


FUNCTION = """
def drop_path(x, drop_prob=0.0, training={default}):
    if drop_prob == 0.0 or not training:
        return x
    mask = x.new_empty((x.shape[0], 1)).bernoulli_(1 - drop_prob)
    return x / (1 - drop_prob) * mask

"""


@pytest.mark.parametrize("default", ["True", "False"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("drop_path(x, self.drop_prob)", "drop_path(x, self.drop_prob, training=self.training)"),
        ("drop_path(x, drop_prob=0.1)", "drop_path(x, drop_prob=0.1, training=self.training)"),
    ],
)
def test_fix(default, before, after):
    source = FUNCTION.format(default=default) + f"{LAYER}        return {before}\n"
    text, left = fixed(LOCAL, source)
    assert text == source.replace(before, after)
    assert left == ()


@pytest.mark.parametrize(
    ("call", "on", "off"),
    [
        ("drop_path(x, self.drop_prob)", True, True),
        ("drop_path(x, self.drop_prob, True)", False, False),
        ("drop_path(x, self.drop_prob, self.training)", False, False),
        ("drop_path(x)", False, False),
        ("drop_path(x, 0.0)", False, False),
        ("drop_path(*x)", False, False),
        ("drop_path(x, **self.options)", False, False),
        ("drop_path(x, self.drop_prob) if self.training else x", False, True),
        ("drop_path(x, self.drop_prob if self.training else 0.0)", False, True),
    ],
)
def test_modes(call, on, off):
    for default, expected in (("True", on), ("False", off)):
        source = FUNCTION.format(default=default) + f"{LAYER}        return {call}\n"
        found, _ = marked(LOCAL, source)
        assert bool(found) is expected, default


def test_a_mode_that_the_function_does_not_use_decides_nothing():
    source = FUNCTION.format(default="True").replace(" or not training", "")
    found, _ = marked(LOCAL, f"{source}{LAYER}        return drop_path(x, self.drop_prob)\n")
    assert found == []


def test_a_long_chain_of_names():
    lines = "".join("    m = m * a\n" for _ in range(3000))
    text = f"import torch\ndef f(m, a, drop):\n{lines}    return m * (torch.rand_like(m) > drop)\n"
    assert isinstance(audit_text(text, rules={ALWAYS, SCALE, LOCAL}), list)


@pytest.mark.parametrize("name", [ALWAYS, LOCAL])
@pytest.mark.parametrize(("which", "stays"), [("broken", True), ("fixed", False)])
def test_what_torch_does(name, which, stays):
    scope = {}
    exec(getattr(RULES[name], which), scope)
    module = scope["WeightNoise" if name == ALWAYS else "DropPath"](0.5).eval()
    x = torch.ones(1000, 8)
    assert torch.equal(module(x), module(x)) is not stays


@pytest.mark.parametrize(("which", "mean"), [("broken", 0.5), ("fixed", 1.0)])
def test_what_is_not_scaled(which, mean):
    scope = {}
    exec(getattr(RULES[SCALE], which), scope)
    made = scope["ChannelDropout"](0.5)(torch.ones(200, 200, 1))
    assert abs(made.mean() - mean) < 0.05  # 10 sigma or more


@pytest.mark.parametrize("name", [ALWAYS, LOCAL])
def test_a_comment_says_that_it_is_meant(name):
    found = audit_text(RULES[name].broken, "src/model.py")
    assert [each.name for each in found] == [name]
    lines = RULES[name].broken.splitlines()
    lines[found[0].line - 1] += "  # torchdropout: mc-dropout"
    text = "\n".join(lines) + "\n"
    assert suppress(audit_text(text, "src/model.py"), text, "src/model.py", {name}) == []
