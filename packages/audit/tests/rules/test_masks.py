"""TD107 to TD109: dropout that a file makes by hand."""

import ast
import textwrap

import pytest
import torch

from _marks import HEAD, fixed, marked
from torchdropout_audit.code import Code
from torchdropout_audit.comments import suppress
from torchdropout_audit.registry import RULES
from torchdropout_audit.rules._masks import is_asked_for, masks, parameter
from torchdropout_audit.source import audit_text

ALWAYS = "mask-always-on"
SCALE = "mask-not-scaled"
LOCAL = "local-dropout-without-mode"

LAYER = """
import numpy

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
    "torch.bernoulli(x, keep)",
    "torch.bernoulli(x, p=keep)",
    "torch.bernoulli(torch.full_like(x, keep), generator=x.generator)",
    "torch.full_like(x, keep).bernoulli()",
    "torch.from_numpy(numpy.random.binomial(1, keep, x.shape))",
    "torch.tensor(numpy.random.rand(*x.shape) < keep)",
    "torch.rand_like(x).ge(p)",
    "torch.rand_like(x).lt(keep)",
    "torch.rand_like(x).lt(keep).eq(1)",
    "(torch.rand_like(x) + keep).int()",
    "torch.floor(keep + torch.rand_like(x).to(x.device))",
    "torch.distributions.Bernoulli(probs=keep).sample(x.shape)",
    "torch.distributions.Binomial(probs=keep).sample(x.shape)",
    "torch.distributions.Binomial(1, keep).sample(x.shape)",
    "torch.distributions.Binomial(total_count=1, probs=keep).sample(x.shape)",
    "(torch.rand_like(x) > p) * 1.0",
    "(torch.rand_like(x) > p) / 1.0",
    "((torch.rand_like(x) < p) == 0)",
    "((torch.rand_like(x) < p) != 1)",
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
        "0 < torch.rand_like(x) < self.drop_prob",
        "(torch.rand_like(x) > self.drop_prob) == x",
        "(torch.rand_like(x) > self.drop_prob) - x",
        "-(torch.rand_like(x) > self.drop_prob)",
        "1 + (torch.rand_like(x) > self.drop_prob)",
        "x - (torch.rand_like(x) > self.drop_prob)",
        "torch.floor(torch.rand_like(x) - self.drop_prob)",
        "torch.floor(torch.rand_like(x))",
        "torch.floor()",
        "torch.autograd.Variable()",
        "torch.rand_like(x).gt()",
        "(torch.rand_like(x) > self.drop_prob).cumsum(0)",
        "torch.distributions.Binomial(5, self.drop_prob).sample(x.shape)",
        "torch.distributions.Binomial(total_count=5, probs=self.drop_prob).sample(x.shape)",
        "torch.distributions.Binomial(probs=self.drop_prob, **x.options).sample(x.shape)",
        "torch.distributions.Binomial().sample(x.shape)",
        "torch.distributions.Normal(0, self.drop_prob).sample(x.shape)",
        "self.drop_prob.sample(x.shape)",
        "self.drop_prob.bernoulli(p=x)",
        "torch.bernoulli(self.gates)",
        "torch.rand_like(x) > 0.5",
    ],
)
def test_what_is_not_a_mask(mask):
    assert marked(ALWAYS, f"{SCALED}        return x * ({mask})\n") == ([], [])


@pytest.mark.parametrize(
    ("rate", "is_found"),
    [
        ("self.drop_prob", True),
        ("self.keep_prob", True),
        ("self.survival_rate", True),
        ("self.p", True),
        ("self.max_p", True),
        ("self.p_max", False),
        ("self.size", False),
        ("self.cond_drop_prob", False),
        ("self.edge_drop", False),
        ("self.drop_prob * self.context", False),
        ("self.size * self.p", True),
        ("self.size * self.drop_prob", True),
    ],
)
def test_names_of_rates(rate, is_found):
    found, _ = marked(ALWAYS, f"{LAYER}        return x * (torch.rand_like(x) > {rate})\n")
    assert bool(found) is is_found


@pytest.mark.parametrize(
    ("lines", "is_found"),
    [
        ("x = x * torch.bernoulli(torch.ones_like(x) * (1 - drop_prob))", True),
        ("x = x * torch.bernoulli(x.new_ones(3) * (1 - drop_prob))", True),
        ("ones = torch.ones(3)\nx = x * torch.bernoulli(ones * (1 - drop_prob))", True),
        ("x = x * torch.bernoulli(x.new_zeros(3) * (1 - drop_prob))", False),
        ("x = x * (torch.rand(3) > drop_prob)", True),
        ("x = x * (torch.rand(3) > drop_prob) / (1 - drop_prob)", False),
        ("x = x * (torch.rand(3) > drop_prob)\nx = x * (1 - drop_prob)", False),
        ("x = x * (torch.rand(3) > drop_prob)\nx = x * (1 + drop_prob)", True),
        ("x = x * (torch.rand(3) > drop_prob)\nx = x * keep_prob", False),
        ("x = x * (torch.rand(3) > drop_prob)\nx = x * size", True),
        ("keep = torch.rand(3) > drop_prob\nx = x * keep", True),
        ("x = x * (torch.rand(3) > drop_prob)\nx /= 2", False),
        ("x = x * (torch.rand(3) > drop_prob)\nx = x ** 2", False),
        ("x = x * (torch.rand(3) > drop_prob)\nscaled = x", False),
        ("m = torch.rand(3) > drop_prob\nx = x * m + y * (1 - m)", False),
        ("m = torch.rand(3) > drop_prob\nx = x * m.float() + y * ~m", False),
        ("m = torch.rand(3) > drop_prob\nx = x * m + (1 - y)", True),
    ],
)
def test_functions_that_scale(lines, is_found):
    body = textwrap.indent(lines, "        ")
    head = "def own_dropout(x, y, drop_prob, keep_prob, training):\n    if training:\n"
    found, _ = marked(SCALE, f"{head}{body}\n    return x\n")
    assert bool(found) is is_found


@pytest.mark.parametrize(("count", "is_mask"), [(59, True), (60, False)])
@pytest.mark.parametrize(
    ("value", "mask"),
    [("torch.bernoulli(x, keep)", "n0"), ("self.drop_prob", "(torch.rand_like(x) > n0)")],
)
def test_names_that_stand_for_names(value, mask, count, is_mask):
    names = "; ".join(f"n{each} = n{each + 1}" for each in range(count - 1))
    lines = f"        n{count - 1} = {value}; {names}\n        return x * {mask}\n"
    found, _ = marked(ALWAYS, SCALED + lines)
    assert bool(found) is is_mask


@pytest.mark.parametrize(
    ("lines", "is_mask"),
    [
        ("r = torch.rand_like(x)", True),
        ("r = torch.rand_like(x)\nr = r.cuda()", False),
        ("if x: r = torch.rand_like(x)\nelse: r = x", False),
        ("r = x.rand_like(x)", False),
        ("r = r", False),
        ("r = torch.rand_like(x).cuda()", True),
        ("r = x.new(3).uniform_().to(x.device)", True),
        ("s = torch.rand_like(x)\nr = s", True),
        ("r = 1.0", False),
    ],
)
def test_uniform_numbers_with_a_name(lines, is_mask):
    lines = textwrap.indent(lines, "        ")
    found, _ = marked(ALWAYS, f"{SCALED}{lines}\n        return x * (r > p)\n")
    assert bool(found) is is_mask


@pytest.mark.parametrize(
    ("lines", "is_mask"),
    [
        ("kept = keep\nkept += torch.rand_like(x)", True),
        ("kept = keep + torch.rand_like(x)", True),
        ("kept = keep\nkept -= torch.rand_like(x)", False),
        ("kept = keep\nkept += x", False),
        ("kept = keep\nkept += torch.rand_like(x)\nkept += 1", False),
        ("kept = keep\nkept = torch.rand_like(x)", False),
        ("for kept in x:\n    kept += torch.rand_like(x)", False),
        ("kept += torch.rand_like(x)", False),
        ("kept = keep", False),
    ],
)
def test_what_is_rounded_down(lines, is_mask):
    lines = textwrap.indent(lines, "        ")
    found, _ = marked(ALWAYS, f"{SCALED}{lines}\n        return x * torch.floor(kept)\n")
    assert bool(found) is is_mask


@pytest.mark.parametrize(
    ("mask", "dropped"),
    [
        ("torch.rand_like(x) > self.drop_prob", "self.drop_prob"),
        ("torch.rand_like(x) < keep", "1 - keep"),
        ("keep > torch.rand_like(x)", "1 - keep"),
        ("torch.rand_like(x) < 1 - p", "p"),
        ("torch.rand_like(x) < 2 - p", None),
        ("torch.rand_like(x).ge(p)", "p"),
        ("torch.rand_like(x).lt(keep)", "1 - keep"),
        ("torch.bernoulli(torch.full_like(x, 1 - p))", "p"),
        ("torch.bernoulli(torch.full_like(x, 1 - p), generator=self.g)", "p"),
        ("torch.bernoulli(x, p=1 - p)", "p"),
        ("torch.bernoulli(x, 1 - p)", "p"),
        ("numpy.random.binomial(1, 1 - p, x.shape)", "p"),
        ("torch.distributions.Bernoulli(probs=1 - p).sample()", "p"),
        ("torch.distributions.Bernoulli(1 - p).sample()", "p"),
        ("torch.distributions.Binomial(1, 1 - p).sample()", "p"),
        ("torch.distributions.Binomial(validate_args=False, probs=1 - p).sample()", "p"),
        ("torch.empty_like(x).bernoulli_(keep)", "1 - keep"),
        ("torch.floor(torch.rand_like(x) + keep)", "1 - keep"),
        ("~(torch.rand_like(x) < p)", None),
        ("1 - torch.bernoulli(torch.full_like(x, p))", None),
    ],
)
def test_the_probability_to_drop(mask, dropped):
    code = Code(HEAD + f"{SCALED}        return x * ({mask})\n")
    (found,) = masks(code)
    assert (found.dropped and ast.unparse(found.dropped)) == dropped


@pytest.mark.parametrize(
    ("line", "dropped"),
    [
        ("return x * {}", "self.drop_prob"),
        ("return x[{}]", "self.drop_prob"),  # what the mask has is kept
        ("x[{}] = 0", None),
        ("return torch.where({}, 0, x)", None),
        ("return x.masked_fill({}, 0)", None),
    ],
)
def test_what_a_mask_chooses_is_dropped_or_kept(line, dropped):
    source = LAYER.replace("forward", "drop_words")
    line = line.format("(torch.rand_like(x) > self.drop_prob)")
    (found,) = masks(Code(f"{HEAD}{source}        {line}\n"))
    assert (found.dropped and ast.unparse(found.dropped)) == dropped
    assert found.is_chosen is ("*" not in line and "fill" not in line)


def test_what_a_program_does_is_no_dropout():
    assert masks(Code("import torch\ny = x[torch.rand(3) > drop] * (torch.rand(3) > drop)\n")) == ()


@pytest.mark.parametrize(("head", "count"), [("import torch, numpy", 1), ("import numpy", 0)])
def test_a_file_without_torch_has_no_masks(head, count):
    line = "return x * (numpy.random.rand(3) > drop_prob)"
    assert len(masks(Code(f"{head}\ndef dropout(x, drop_prob):\n    {line}\n"))) == count


@pytest.mark.parametrize(
    ("parameters", "test", "always", "is_asked"),
    [
        ("", "self.drop_prob > 0", True, False),
        ("", "x.any()", True, False),
        ("flag", "flag", False, True),
        ("flag=False", "flag", False, True),
        ("flag=None", "flag", False, True),
        ("flag=True", "flag", True, False),
        ("use_dropout=True", "use_dropout", False, True),
        ("flag=True, other=False", "flag and other", False, True),
        ("flag=True", "flag and other", True, False),
        ("flag=False", "flag and drop", False, True),
        ("drop=0.1", "drop", False, False),
        ("flag=False", "not flag", True, False),
        ("flag=False", "other", True, False),
    ],
)
def test_a_mask_under_a_flag(parameters, test, always, is_asked):
    rate = "drop" if parameters.startswith("drop") else "self.drop_prob"
    for choice in (
        f"if {test}: x = x * (torch.rand_like(x) > {rate})",
        f"x = x * (torch.rand_like(x) > {rate}) if {test} else x",
    ):
        source = LAYER.replace("(self, x)", f"(self, x, {parameters})")
        text = f"{HEAD}{source}        {choice}\n        return x\n"
        found = audit_text(text, "src/model.py", {ALWAYS})
        assert bool(found) is always
        code = Code(text)
        (mask,) = masks(code)
        assert is_asked_for(code, mask) is is_asked


@pytest.mark.parametrize(
    ("rate", "lines", "name"),
    [
        ("drop", "pass", "drop"),
        ("keep_prob", "pass", "keep_prob"),
        ("1 - drop", "pass", "drop"),
        ("rate", "rate = 1 - drop", "drop"),
        ("rate", "rate = size", ""),
        ("rate", "rate = rate * drop", "drop"),
        ("p", "pass", "p"),
        ("size", "size = drop * self.drop_prob", "drop"),
        ("self.drop_prob", "pass", ""),
        ("self.drop_prob * size", "pass", ""),
        ("self.drop_prob" + " + 1" * 1000 + " + drop", "pass", "drop"),
        ("drop" + " + self.drop_prob" * 1000, "pass", ""),
        ("a", f"a = b{' + 1' * 250}; b = drop", "drop"),
        ("a", f"a = b{' + 1' * 250}; b = c{' + 1' * 250}; c = drop", ""),
    ],
)
def test_the_parameter_that_a_rate_is_made_of(rate, lines, name):
    source = LAYER.replace("(self, x)", "(self, x, drop, keep_prob, p, size=1)")
    source = f"{source}        {lines}\n        return x * (torch.rand_like(x) > {rate})\n"
    code = Code(HEAD + source.replace("class Drop(", "class WordDrop("))
    (mask,) = masks(code)
    assert parameter(code, mask) == name


@pytest.mark.parametrize("name", ["train", "is_training", "verbose"])
def test_a_parameter_that_may_say_whether_it_is_training(name):
    source = LAYER.replace("(self, x)", f"(self, x, {name}, last)")
    found, _ = marked(ALWAYS, f"{source}        return x * (torch.rand_like(x) > self.drop_prob)\n")
    assert bool(found) is (name == "verbose")


@pytest.mark.parametrize(
    ("cls", "function", "is_found"),
    [
        ("Drop", "forward", True),
        ("TokenDrop", "forward", False),
        ("NoiseDrop", "forward", False),
        ("MonteCarloDrop", "forward", False),
        ("Drop", "augment", False),
        ("Drop", "drop_edges", False),
        ("Drop", "apply_dropout", True),
    ],
)
def test_dropouts_that_are_meant_not_to_be_scaled(cls, function, is_found):
    source = UNSCALED.replace("class Drop", f"class {cls}").replace("forward", function)
    draw = "        mask = torch.rand_like(x) > self.drop_prob\n"
    found, _ = marked(SCALE, f"{source}{draw}        return x * mask\n")
    assert bool(found) is is_found


@pytest.mark.parametrize("more", ["", ".float()"])  # one step more from name to name
def test_a_name_that_stands_for_itself(more):
    start = "        for each in x:\n            if each:\n                "
    choice = "{0} = {1}\n            else:\n                {0} = {2}\n"
    size = start + choice.format("size", "size * x", "last")
    mask = start + choice.format("m", f"m{more}.to(x)", "torch.rand_like(x) > size")
    source = f"{LAYER}        last = self.drop_prob\n{size}{mask}        return (m{more}) * x  #!\n"
    found, expected = marked(ALWAYS, source)
    assert found == expected


@pytest.mark.parametrize(
    ("line", "is_mask"),
    [
        ("return torch.where(drop, 0.0, x)", True),
        ("return torch.where(drop, x, 0)", True),
        ("return torch.where(drop, torch.zeros_like(x), x)", True),
        ("return torch.where(drop, x.new_zeros(3), x)", True),
        ("return torch.where(drop, torch.tensor(0.0), x)", True),
        ("return torch.where(drop, x.new_tensor(0), x)", True),
        ("return torch.where(drop, torch.tensor(1.0), x)", False),
        ("return torch.where(drop, torch.tensor(), x)", False),
        ("return torch.where(drop, torch.exp(0), x)", False),
        ("return torch.where(drop, 1.0, x)", False),
        ("return torch.where(drop, 'zero', x)", False),
        ("return torch.where(drop)", False),
        ("return torch.cond(drop, 0.0, x)", False),
        ("x[drop] = 0", True),
        ("x[:, drop] = 0", True),
        ("x[drop] = 1", False),
        ("x[drop] = None", False),
        ("x = 0 if drop else x", False),
        ("return x.masked_fill(drop, 0)", True),
        ("return x.masked_fill(drop, 0.0)", True),
        ("return x.masked_fill_(drop, False)", True),
        ("return x.masked_fill(drop, 1)", False),
        ("return x.masked_fill(drop, value=1)", False),
        ("return x.masked_fill(drop, value=0.0)", True),
        ("return x.masked_fill(drop, torch.zeros(()))", True),
        ("return torch.masked_fill(x, drop, 0)", True),
        ("return torch.masked_fill(x, drop, 1)", False),
        ("return torch.masked_fill(drop, x, 0)", False),
        ("return torch.mul(x, drop)", True),
        ("return torch.mul(drop, x)", True),
        ("return x.multiply_(drop)", True),
        ("return torch.mul(drop)", False),
        ("return masked_fill(drop, 0)", False),
        ("return x.mul()", False),
        ("return drop * 2.0", False),
        ("return 2.0 * drop", False),
        ("return drop + x", False),
        ("x += drop", False),
        ("x *= ~drop", True),
        ("return x * numpy.random.binomial(1, self.drop_prob)", True),
        ("return x * numpy.random.binomial(1, 0.5, self.drop_prob)", False),
        ("return x * numpy.random.binomial(self.drop_prob)", False),
        ("return x * torch.bernoulli(x, self.drop_prob)", True),
        ("return x * torch.bernoulli(x, p=self.drop_prob)", True),
        ("return x * torch.bernoulli(self.drop_prob, generator=x)", True),
        ("return x * torch.bernoulli(x, generator=self.drop_prob)", False),
        ("return x * torch.bernoulli()", False),
        ("return x * x.bernoulli_(self.drop_prob)", True),
        ("return x * x.bernoulli_()", False),
        ("return x * self.drop_prob.bernoulli()", True),
        ("return x * self.drop_prob.bernoulli(x)", False),
        ("return x * torch.distributions.Bernoulli(self.drop_prob).sample()", True),
        ("return x * torch.distributions.Bernoulli(x, self.drop_prob).sample()", False),
        ("return x * torch.distributions.Bernoulli(x, probs=self.drop_prob).sample()", True),
        ("return x * torch.distributions.Bernoulli(logits=self.drop_prob).sample()", False),
        ("return x * torch.distributions.Binomial(1, self.drop_prob).sample()", True),
        ("return x * torch.distributions.Binomial(1, x, self.drop_prob).sample()", False),
        ("return x[drop]", False),
    ],
)
def test_what_a_mask_does(line, is_mask):
    draw = "        drop = torch.rand_like(x) < self.drop_prob\n"
    mark = "  #!" if is_mask else ""
    found, expected = marked(ALWAYS, f"{LAYER}{draw}        {line}{mark}\n")
    assert found == expected


def test_the_product_counts_and_not_the_scaling_of_a_mask():
    source = f"{SCALED}        m = (torch.rand_like(x) > p) * 2.0\n        return x * m  #!\n"
    found, expected = marked(ALWAYS, source)
    assert found == expected


@pytest.mark.parametrize(
    ("name", "is_dropout"),
    [("Dropout", True), ("WordDrop", True), ("Noise", False), ("Masking", False)],
)
def test_a_plain_rate_counts_in_a_dropout_only(name, is_dropout):
    source = LAYER.replace("drop_prob", "p").replace("Drop(", f"{name}(")
    found, _ = marked(ALWAYS, f"{source}        return x * (torch.rand_like(x) > self.p)\n")
    assert bool(found) is is_dropout


def test_not_in_a_test_nor_outside_a_step():
    source = f"{LAYER}        return x * (torch.rand(x.shape) > self.drop_prob)\n"
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
    source = f"{LAYER}        return x * (torch.rand(x.shape) > self.drop_prob)\n"
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


@pytest.mark.parametrize(
    ("step", "last", "result"),
    [
        ("m{} = m{}.float()", "torch.rand_like(x) > drop", "m0"),
        ("m{} = m{}.cuda()", "torch.rand_like(x)", "(m0 > drop)"),
        ("m{} = m{} * 2", "drop", "(torch.rand_like(x) > m0)"),
    ],
)
@pytest.mark.parametrize(("names", "count"), [(10, 1), (400, 0)])
def test_names_are_followed_to_some_depth(step, last, result, names, count):
    others = ["x * (torch.rand_like(x) > y * z)"] * 400  # which do not count
    steps = [step.format(each, each + 1) for each in range(names)]
    lines = "\n    ".join([*others, *steps, f"m{names} = {last}", f"return x * {result}"])
    assert len(masks(Code(f"import torch\ndef f(x, y, z, drop):\n    {lines}\n"))) == count


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
