"""Where dropout acts in a model, and what is wrong there."""

import contextlib
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import torchdropout as td
from torchdropout.audit_model import sites
from torchdropout.audit_model.rules import RULES
from torchdropout.errors import TargetError

SIZE = 64
X = torch.ones(16, 32, SIZE)  # 32 768 values


def of(forward, x=X, **parts):
    """The audit of a module with these parts and this forward."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            for name, part in parts.items():
                setattr(self, name, part)

        def forward(self, x):
            return forward(self, x)

    return sites(Net(), x)


def only(found):
    assert len(found) == 1, found.sites
    return found.sites[0]


def names(found):
    return [(f.name, f.severity) for f in found.findings]


def is_gated(site):
    return (site.train, site.eval, site.no_grad) == (True, False, True)


def close(seen, asked, n):
    """Within 6 standard deviations."""
    return abs(seen - asked) < 6 * (asked * (1 - asked) / n) ** 0.5


# --- Kinds ----------------------------------------------------------------------------------------

MODULES = [
    (nn.Dropout(0.3), "Dropout"),
    (nn.AlphaDropout(0.3), "AlphaDropout"),
    (nn.Dropout1d(0.3), "Dropout1d"),
    (nn.FeatureAlphaDropout(0.3), "FeatureAlphaDropout"),
    (td.nn.Dropout(0.3), "torchdropout.nn.Dropout"),
    (td.nn.Dropout1d(0.3), "torchdropout.nn.Dropout1d"),
    (td.nn.AlphaDropout(0.3), "torchdropout.nn.AlphaDropout"),
]


@pytest.mark.parametrize(("module", "kind"), MODULES, ids=[kind for _, kind in MODULES])
def test_modules(module, kind):
    found = of(lambda self, x: self.drop(x), drop=module)
    site = only(found)
    assert (site.name, site.kind, site.asked, site.calls) == ("drop", kind, 0.3, 1)
    assert is_gated(site)
    # A channel-wise mask has one value per channel; ours is seen by its output, one per element.
    is_by_channel = "1d" in kind or "Feature" in kind
    assert close(site.seen, 0.3, 16 * 32 if is_by_channel else X.numel())
    assert not found.findings
    assert found.passed


FUNCTIONS = [
    (lambda x, on: F.dropout(x, 0.3, on), "F.dropout"),
    (lambda x, on: F.dropout(x, p=0.3, training=on), "F.dropout"),
    (lambda x, on: F.dropout1d(x, 0.3, on), "F.dropout1d"),
    (lambda x, on: F.alpha_dropout(x, 0.3, on), "F.alpha_dropout"),
    (lambda x, on: F.feature_alpha_dropout(x, 0.3, on), "F.feature_alpha_dropout"),
    (lambda x, on: torch.dropout(x, 0.3, on), "torch.dropout"),
    (lambda x, on: torch.native_dropout(x, 0.3, on)[0], "torch.native_dropout"),
    (
        lambda x, on: F.scaled_dot_product_attention(x, x, x, None, 0.3 if on else 0.0),
        "scaled_dot_product_attention",
    ),
    (
        lambda x, on: F.scaled_dot_product_attention(x, x, x, dropout_p=0.3 * on),
        "scaled_dot_product_attention",
    ),
    (lambda x, on: td.functional.dropout(x, 0.3, on), "torchdropout.functional.dropout"),
    (lambda x, on: td.functional.dropout_add(x, x, 0.3, on), "torchdropout.functional.dropout_add"),
]


@pytest.mark.parametrize(("function", "kind"), FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_functions(function, kind):
    found = of(lambda self, x: function(x, self.training))
    site = only(found)
    assert (site.name, site.kind, site.asked, site.calls) == ("", kind, 0.3, 1)
    assert is_gated(site)
    assert abs(site.seen - 0.3) < 0.1
    assert site.line.startswith("tests/audit_model/test_model.py:")
    assert not found.findings


def test_recurrent_and_attention_modules_have_dropouts_inside():
    def forward(self, x):
        y, _ = self.rnn(x)
        y, _ = self.mha(y, y, y)
        return y

    found = of(
        forward, rnn=nn.GRU(SIZE, SIZE, 2, dropout=0.2), mha=nn.MultiheadAttention(SIZE, 4, 0.3)
    )
    assert [(s.name, s.kind, s.asked) for s in found] == [
        ("rnn", "GRU", 0.2),
        ("mha", "MultiheadAttention", 0.3),
    ]
    assert all(map(is_gated, found))
    assert [abs(s.seen - s.asked) < 0.03 for s in found] == [True, True]
    assert not found.findings


@pytest.mark.parametrize(
    ("rnn", "asked", "seen"),
    [
        (td.nn.LSTM(SIZE, SIZE, 2, dropout=0.3, batch_first=True), 0.3, 0.3),
        (td.nn.GRU(SIZE, SIZE, 2, dropout=0.3, batch_first=True, input_dropout=0.1), None, 0.2),
        (td.nn.LSTM(SIZE, SIZE, batch_first=True, recurrent_dropout=0.3), 0.3, 0.3),
        (td.nn.GRU(SIZE, SIZE, 2, batch_first=True, zoneout_hidden=0.3), 0.3, None),
    ],
    ids=["between", "two rates", "state", "zoneout"],
)
def test_our_recurrent_modules_are_one_site(rnn, asked, seen):
    site = only(of(lambda self, x: self.rnn(x)[0], torch.ones(16, 8, SIZE), rnn=rnn))
    assert (site.name, site.kind, site.asked) == (
        "rnn",
        f"torchdropout.nn.{type(rnn).__name__}",
        asked,
    )
    assert is_gated(site)
    if seen is not None:
        assert abs(site.seen - seen) < 0.05


def test_the_dropout_between_layers_that_are_not_there_is_found():
    found = of(lambda self, x: self.rnn(x)[0], rnn=_one_layer(td.nn.LSTM))
    assert names(found) == [("rnn-site-without-effect", "error")]
    # Another rate of the module has an effect, so that the audit cannot know.
    found = of(lambda self, x: self.rnn(x)[0], rnn=_one_layer(td.nn.LSTM, recurrent_dropout=0.2))
    assert not found.findings


def _one_layer(kind, **arguments):
    with pytest.warns(UserWarning, match="num_layers"):
        return kind(SIZE, SIZE, dropout=0.3, batch_first=True, **arguments)


def test_an_operator_of_ours_that_nobody_asked_for_is_a_site():
    def forward(self, x):
        key = torch.randint(2**62, (2,))
        return torch.ops.torchdropout.masked_affine(x, key, 0.3, 1.0, 0.0, 0.0, 0, [0, 0, 1])

    site = only(of(forward))
    assert (site.kind, site.train, site.eval) == ("unknown random op", True, True)
    line = forward.__code__.co_firstlineno + 1  # where its key is drawn
    assert site.line == f"tests/audit_model/test_model.py:{line}"


def test_attention_without_dropout_is_no_site():
    def forward(self, x):
        y, _ = self.mha(x, x, x)
        y, _ = self.rnn(y)
        return F.scaled_dot_product_attention(y, y, y)

    found = of(forward, mha=nn.MultiheadAttention(SIZE, 4), rnn=nn.LSTM(SIZE, SIZE, 2))
    assert not found.sites


def test_torchvisions():
    from torchvision.ops import DropBlock2d, StochasticDepth

    def forward(self, x):
        return self.block(self.depth(x))

    x = torch.ones(64, 3, 16, 16)
    found = of(forward, x, depth=StochasticDepth(0.3, "row"), block=DropBlock2d(0.2, 3))
    depth, block = found
    assert (depth.kind, depth.asked, depth.values) == ("StochasticDepth", 0.3, 64)
    assert close(depth.seen, 0.3, 64)
    assert (block.kind, block.asked) == ("DropBlock2d", 0.2)
    assert 0.1 < block.seen < 0.3
    assert is_gated(depth)
    assert is_gated(block)


def test_p_as_a_tensor():
    def forward(self, x):
        p = torch.tensor([0.1, 0.5, 0.5, 0.9])
        rates = td.functional.dropout(x, p, self.training)
        number = td.functional.dropout(x, torch.tensor(0.5), self.training)
        return rates + number + torch.nn.functional.dropout(x, torch.tensor(0.25), self.training)

    sites = of(forward, torch.ones(512, 4))
    assert [site.asked for site in sites] == [None, 0.5, 0.25]
    for site, p in zip(sites, (0.5, 0.5, 0.25), strict=True):
        assert site.values == 2048
        assert close(site.seen, p, 2048)
        assert is_gated(site)


def test_a_droppath_of_somebodys_own():
    class MyDropPath(nn.Module):
        def __init__(self, drop_prob):
            super().__init__()
            self.drop_prob = drop_prob

        def forward(self, x):
            if not self.training:
                return x
            keep = 1 - self.drop_prob
            mask = (keep + torch.rand(x.shape[0], 1, 1)).floor_()
            return x.div(keep) * mask

    site = only(of(lambda self, x: self.path(x), path=MyDropPath(0.5), x=torch.ones(256, 2, 2)))
    assert (site.kind, site.asked, site.values) == ("MyDropPath", 0.5, 256)
    assert close(site.seen, 0.5, 256)
    assert is_gated(site)


MASKS = [
    lambda x: x * (torch.rand_like(x) > 0.3) / 0.7,
    lambda x: x * torch.bernoulli(torch.full_like(x, 0.7)),
    lambda x: torch.where(torch.rand_like(x) < 0.3, 0.0, x),
    lambda x: torch.where(torch.rand_like(x) < 0.3, torch.zeros(()), x),
    lambda x: torch.where(torch.rand_like(x) > 0.3, x, 0.0),
    lambda x: x.masked_fill(torch.rand_like(x) < 0.3, 0.0),
    lambda x: x * torch.empty_like(x).bernoulli_(0.7).div_(0.7),
    lambda x: x.clone().mul_(torch.rand(x.shape).lt(0.7).float()),
    lambda x: x * torch.floor(torch.rand(x.shape) + 0.7),
    lambda x: _indexed(x.clone(), torch.rand(x.shape) < 0.3),
]


def _indexed(x, mask):
    x[mask] = 0
    return x


@pytest.mark.parametrize("mask", MASKS, ids=range(len(MASKS)))
def test_an_unknown_mask_is_seen_and_is_advice(mask):
    found = of(lambda self, x: mask(x))
    site = only(found)
    assert (site.kind, site.asked, site.calls) == ("unknown random op", None, 1)
    assert close(site.seen, 0.3, X.numel())
    assert site.line.startswith("tests/audit_model/test_model.py:")
    assert names(found) == [("alive-in-eval", "advice")]


NOISE = [
    lambda x: x + torch.randn_like(x),
    lambda x: x * torch.rand_like(x),
    lambda x: x * (1 + 0.1 * torch.randn_like(x)),
    lambda x: x[torch.randperm(len(x))],
    lambda x: torch.where(torch.rand_like(x) < 0.5, x, -x),
    lambda x: x.masked_fill(torch.rand_like(x) < 0.5, 1.0),
    lambda x: F.rrelu(x, training=True),
    lambda x: F.gumbel_softmax(x),
    lambda x: x * (torch.rand(x.shape) + 1),
    lambda x: td.functional.gaussian_noise(x, 0.5),
    lambda x: (x > 0) * (torch.rand_like(x) > 0.5),
]


@pytest.mark.parametrize("noise", NOISE, ids=range(len(NOISE)))
def test_noise_is_no_dropout(noise):
    assert not of(lambda self, x: noise(x)).sites


def test_masks_that_are_used_twice_or_overwritten():
    def twice(self, x):
        for _ in range(3):
            mask = torch.bernoulli(torch.full_like(x, 0.5))
            y = x * mask + (x + 1) * mask
        return y

    assert (only(of(twice)).calls, only(of(twice)).values) == (3, 6 * X.numel())

    def overwritten(self, x):
        mask = torch.bernoulli(torch.full_like(x, 0.5))
        mask.copy_(x)
        return x * mask

    assert not of(overwritten).sites


def test_a_function_in_a_dropout_says_its_p_where_the_module_does_not():
    class DropPath(nn.Module):
        p = "unknown"

        def forward(self, x):
            return F.dropout(x, 0.4, self.training)

    site = only(of(lambda self, x: self.path(x), path=DropPath()))
    assert (site.kind, site.calls, site.asked) == ("DropPath", 1, 0.4)


def test_a_module_that_raises_is_left():
    class Failing(nn.Module):
        def forward(self, x):
            raise ValueError

    def forward(self, x):
        with contextlib.suppress(ValueError):
            self.inner(x)
        return F.dropout(x, 0.5, self.training)

    assert only(of(forward, inner=Failing())).name == ""


def test_a_gradient_within_a_forward():
    def forward(self, x):
        x = x.clone().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad((x * x).sum(), x)
        assert torch.equal(gradient, 2 * x)
        return self.drop(x)

    assert is_gated(only(of(forward, drop=nn.Dropout(0.1))))


def test_a_sparse_parameter():
    def forward(self, x):
        return self.drop(x) @ self.table.to_dense()

    table = nn.Parameter(torch.eye(SIZE).to_sparse(), requires_grad=False)
    assert is_gated(only(of(forward, drop=nn.Dropout(0.1), table=table)))


# --- Calls, lines, bytes --------------------------------------------------------------------------


def test_a_module_called_often_is_one_site():
    found = of(lambda self, x: self.drop(self.drop(x)) + self.drop(x), drop=nn.Dropout(0.25))
    assert only(found).calls == 3
    assert only(found).values == 3 * X.numel()
    assert not found.findings


def test_a_shared_module_has_all_its_names():
    drop = nn.Dropout(0.25)
    block = nn.Sequential(nn.Linear(SIZE, SIZE), drop)
    found = sites(nn.ModuleDict({"a": block}).__class__({"a": block})["a"], X)
    assert only(found).also == ()
    found = sites(nn.Sequential(block, block, drop), X)
    assert (only(found).name, only(found).also) == ("0.1", ("1.1", "2"))
    assert only(found).calls == 3


def test_two_functions_on_two_lines_are_two_sites():
    def forward(self, x):
        x = F.dropout(x, 0.1, self.training)
        return F.dropout(x, 0.2, self.training)

    first, second = of(forward)
    assert (first.asked, second.asked) == (0.1, 0.2)
    assert int(second.line.rpartition(":")[2]) == int(first.line.rpartition(":")[2]) + 1


def test_the_line_is_that_of_the_caller_outside_torch():
    net = nn.Sequential(nn.Sequential(nn.Dropout(0.1)))

    def forward(self, x):
        return self.net(x)

    (site,) = of(forward, net=net)
    line = forward.__code__.co_firstlineno + 1
    assert site.line == f"tests/audit_model/test_model.py:{line}"
    (site,) = sites(net, X)
    assert site.line == ""  # only the audit called it


def test_bytes_kept_for_backward():
    linear = nn.Linear(SIZE, SIZE)

    def forward(self, x):
        x = self.linear(x)
        return self.td(self.bool(self.torch(x)))

    class Bool(nn.Module):
        def forward(self, x):
            return x.masked_fill(torch.rand_like(x) < 0.5, 0.0) if self.training else x

    found = of(forward, linear=linear, torch=nn.Dropout(0.1), bool=Bool(), td=td.nn.Dropout(0.1))
    assert [s.kept for s in found] == [4 * X.numel(), X.numel(), 16]


def test_the_mask_that_native_dropout_returns_is_kept():
    def forward(self, x):
        return torch.native_dropout(self.linear(x), 0.3, self.training)[0]

    assert only(of(forward, linear=nn.Linear(SIZE, SIZE))).kept == X.numel()


def test_nothing_is_kept_without_gradients():
    assert only(of(lambda self, x: self.drop(x), drop=nn.Dropout(0.1))).kept == 0


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_keeps_no_mask_and_is_seen_once(reentrant):
    def forward(self, x):
        x = self.linear(x)
        return checkpoint(lambda y: self.drop(y).sin(), x, use_reentrant=reentrant)

    found = of(forward, linear=nn.Linear(SIZE, SIZE), drop=nn.Dropout(0.1))
    site = only(found)
    assert (site.calls, site.kept) == (1, 0)
    assert is_gated(site)
    assert not found.findings


def test_what_acts_in_backward_only_is_not_seen():
    class Gradient(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, gradient):
            return F.dropout(gradient, 0.5)

    assert not of(
        lambda self, x: Gradient.apply(self.linear(x)), linear=nn.Linear(SIZE, SIZE)
    ).sites


# --- Findings -------------------------------------------------------------------------------------


class Eval(nn.Sequential):
    """Stays in eval."""

    def train(self, mode=True):
        return super().train(False)


class NumpyDropPath(nn.Module):
    p = 0.5

    def forward(self, x):
        return x * (np.random.rand() >= self.p) if self.training else x


class MCDropout(nn.Dropout):
    def forward(self, x):
        return F.dropout(x, self.p)


def called(self, x):
    return self.part(x)


ALIVE, DEAD = [("alive-in-eval", "error")], [("dead-in-train", "error")]
ALIVE_ADVICE, DEAD_ADVICE = [("alive-in-eval", "advice")], [("dead-in-train", "advice")]
OWN = "the model's own F.dropout (tests/audit_model/test_model.py:"
UNREACHED = "<Dropout> Dropout (tests/audit_model/test_model.py:"
FROZEN = ": the module around it is in eval while the model is in training"
NOT_CALLED = "part.0 Dropout with p=0.1 was called in no pass"


@pytest.mark.parametrize(
    ("forward", "part", "expected", "words"),
    [
        (lambda self, x: F.dropout(x, 0.3), None, ALIVE, OWN),
        (lambda self, x: nn.Dropout(0.3)(x), None, ALIVE, UNREACHED),
        (lambda self, x: nn.Dropout(1.0)(x), None, ALIVE, "eval() does not reach it"),
        (lambda self, x: self.part[0](x), [nn.Dropout(0.3)], ALIVE, ""),
        (lambda self, x: self.part[0](x), [nn.Dropout(1.0)], ALIVE, ""),
        (called, MCDropout(0.5), ALIVE_ADVICE, ""),
        (lambda self, x: F.alpha_dropout(x, 0.3), None, DEAD, " drops nothing in training"),
        (called, Eval(nn.Linear(SIZE, SIZE), nn.Dropout(0.1)), DEAD_ADVICE, FROZEN),
        # It is known by its name only, and may draw from elsewhere.
        (called, NumpyDropPath(), DEAD_ADVICE, ""),
        (
            lambda self, x: x,
            nn.Sequential(nn.Dropout(0.1), nn.Dropout(0.0)),
            [("never-called", "advice")],
            NOT_CALLED,
        ),
    ],
    ids=range(10),
)
def test_findings(forward, part, expected, words):
    found = of(forward, part=part)
    assert names(found) == expected
    assert words in found.findings[0].message
    assert found.passed is (expected[0][1] == "advice")


@pytest.mark.parametrize(
    ("forward", "part", "acts"),
    [
        (called, nn.Dropout(0.0), False),
        (called, nn.Dropout(1.0), True),
        (lambda self, x: self.part(x)[0], nn.RNN(SIZE, SIZE, 2, dropout=1.0), True),
        # No mask is drawn, so that what it is called with decides.
        (lambda self, x: F.scaled_dot_product_attention(x, x, x, None, self.training), None, True),
        (lambda self, x: F.dropout(x, self.part.p, self.training), nn.Dropout(0.1), True),
    ],
    ids=range(5),
)
def test_nothing_is_found(forward, part, acts):
    found = of(forward, part=part)
    assert is_gated(only(found)) is acts
    assert only(found).acts is acts
    assert not found.findings


def test_of_inputs_one_is_not_empty():
    def forward(self, x):
        return torch.cat([F.alpha_dropout(part, 0.3) for part in (x[:0], x, x[:0])])

    assert names(of(forward)) == DEAD


def test_an_empty_input_is_not_dead():
    assert not of(lambda self, x: self.drop(x), torch.ones(0, 4), drop=nn.Dropout(0.1)).findings


def test_a_lost_mode_is_dead_in_train():
    class Lost(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.1)

        def train(self, mode=True):
            super().train(mode)
            self.drop.eval()
            return self

        def forward(self, x):
            return self.drop(x)

    assert names(sites(Lost(), X)) == DEAD


@pytest.mark.parametrize(
    ("batch_first", "p", "on", "expected"),
    [
        (True, 0.1, True, [("fast-path-skips-dropout", "advice")]),
        (False, 0.1, True, []),
        (True, 0.0, True, []),
        (True, 0.1, False, []),
    ],
)
def test_fast_path(batch_first, p, on, expected):
    layer = nn.TransformerEncoderLayer(SIZE, 4, SIZE, p, batch_first=batch_first)
    torch.backends.mha.set_fastpath_enabled(on)
    try:
        found = sites(nn.Sequential(layer, layer), X)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert names(found) == expected
    if p:
        assert [s.kind for s in found] == ["MultiheadAttention", *["Dropout"] * 3]
        assert all(map(is_gated, found))


class Config:
    hidden_dropout_prob = 0.3

    def __init__(self):
        self.hidden_dropout_prob, self.attention_dropout = 0.3, 0.1
        self.layerdrop, self.classifier_dropout, self.use_dropout = 0.4, None, True


class Translated:
    dropout = 0.5

    def to_dict(self):
        return {"dropout": 0.25}


class Slotted:
    __slots__ = ()


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        (Config(), ["hidden_dropout_prob"]),
        (Translated(), ["dropout"]),
        (Slotted(), []),
        (3, []),
        ({"dropout": 0.1}, []),
        ({"dropout": 0.1 + 1e-9}, []),
        ({"dropout": 0.05, "drop": 1}, ["dropout", "drop"]),
        ({"text": {"a": {"dropout": 0.2, "c": 1}}}, ["text.a.dropout"]),
        ({"drop_path_rate": 0.12, "Stochastic_Drop": 0.2}, []),  # a schedule stays below its end
        ({"drop_path_rate": 0.05, "drop_connect": 0.3}, ["drop_path_rate"]),
        ({"Attention_Dropout": 0.5}, ["Attention_Dropout"]),
        ({"dropout": 0, "a_dropout": 1.5, "b_dropout": -0.5, "c_dropout": True}, []),
        ({"dropout": "0.5", "p": 0.5, 1: 0.5}, []),
        ({"encoder_layerdrop": 0.5, "classifier_dropout": 0.5, "head_drop": 0.5}, []),
    ],
)
def test_config(config, keys):
    found = of(lambda self, x: self.drop(x), drop=nn.Dropout(0.1), config=config)
    assert names(found) == [("config-p-without-site", "advice")] * len(keys)
    assert [f.figures["key"] for f in found.findings] == keys
    for finding in found.findings:
        assert finding.message.endswith(", and no site was called with it: 0.1")


def test_a_site_whose_p_is_not_known_may_use_that_of_the_configuration():
    found = of(
        lambda self, x: td.functional.dropout(x, torch.full((SIZE,), 0.5), self.training),
        config={"dropout": 0.2},
    )
    assert not found.findings


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_examples_of_a_rule(rule):
    def found(source):
        namespace = {"torch": torch, "nn": nn, "F": F}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of dropout in one layer
            exec(source, namespace)
            model = namespace["Net"]()
        return names(sites(model, X))

    try:
        assert found(rule.broken) == [(rule.name, rule.severity)]
        assert found(rule.fixed) == []
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def test_rules_are_whole():
    codes = [rule.code for rule in RULES.values()]
    assert codes == sorted(set(codes))
    assert all(code.startswith("TD3") for code in codes)
    for name, rule in RULES.items():
        assert (rule.name, rule.group) == (name, "model")
        assert rule.summary.endswith(".")
        assert "To fix:" in rule.explain
        assert rule.evidence


# --- Special models -----------------------------------------------------------------------------


def test_compiled():
    model = nn.Sequential(nn.Linear(SIZE, SIZE), nn.Dropout(0.1))
    found = sites(torch.compile(model, backend="eager"), X)
    assert (only(found).name, found.model) == ("1", "Sequential")
    assert found.notes == ("compiled: run eagerly",)
    model.compile(backend="eager")
    found = sites(model, X)
    assert is_gated(only(found))
    assert found.notes == ("compiled: run eagerly",)


def test_scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inner = torch.jit.script(nn.Sequential(nn.Linear(SIZE, SIZE), nn.Dropout(0.3)))
    found = sites(nn.Sequential(inner), X)
    site = only(found)
    assert (site.name, site.kind) == ("0", "unknown random op")
    assert close(site.seen, 0.3, X.numel())
    assert (site.train, site.eval, site.no_grad) == (True, None, True)
    assert found.notes == ("scripted: dropout inside is seen by its masks",)
    assert not found.findings
    sites(inner.eval(), X)
    assert not inner.training


def test_data_parallel():
    found = sites(nn.DataParallel(nn.Sequential(nn.Dropout(0.1))), X)
    assert only(found).name == "0"
    assert found.notes == ("DataParallel: its module was run",)


def test_lazy():
    model = nn.Sequential(nn.LazyLinear(8), nn.Dropout(0.1), nn.LazyBatchNorm1d())
    found = sites(model, torch.randn(16, 4))
    assert is_gated(only(found))
    assert found.notes == ("lazy: a copy was run",)
    assert isinstance(model[0].weight, nn.UninitializedParameter)
    model(torch.randn(16, 4))
    assert sites(model, torch.randn(16, 4)).notes == ()


def test_meta():
    def forward(self, x):
        return F.dropout(self.mask(self.drop(x)), 0.2)

    class Mask(nn.Module):
        def forward(self, x):
            return x * (torch.rand_like(x) > 0.5)

    found = of(forward, torch.empty(4, 8, device="meta"), drop=nn.Dropout(0.1), mask=Mask())
    assert [(s.kind, s.seen, s.train, s.eval) for s in found] == [
        ("Dropout", None, True, False),
        ("unknown random op", None, True, True),
        ("F.dropout", None, True, True),
    ]


def test_fake_tensors():
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode():
        model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.1))
        site = only(sites(model, torch.empty(4, 8)))
    assert is_gated(site)
    assert site.seen is None


def test_quantised():
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        pytest.skip("no engine for quantised modules here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.ao.quantization.quantize_dynamic(
            nn.ModuleDict({"net": nn.Sequential(nn.Linear(SIZE, SIZE), nn.Dropout(0.2))})["net"],
            {nn.Linear},
        )
    assert is_gated(only(sites(model, X)))


def test_a_cycle_of_modules():
    class Child(nn.Module):
        def forward(self, x):
            return F.dropout(x, 0.1, self.training)

    parent = nn.Sequential(Child())
    parent[0].__dict__["parent"] = parent
    parent[0]._modules["parent"] = parent
    parent.train = lambda mode=True: parent  # torch's method would not end
    assert only(sites(parent, X)).name == "0"


def test_two_audits_say_the_same():
    model = nn.Sequential(nn.Linear(SIZE, SIZE), nn.Dropout(0.3))
    torch.manual_seed(5)
    first = sites(model, X).sites
    torch.manual_seed(6)
    assert sites(model, X).sites == first


def test_inside_inference_mode_and_under_no_grad():
    model = nn.Sequential(nn.Linear(SIZE, SIZE), nn.Dropout(0.3))
    with torch.no_grad():
        assert only(sites(model, X)).kept == 4 * X.numel()
    with torch.inference_mode():
        assert only(sites(model, X)).kept == 4 * X.numel()


# --- Errors ---------------------------------------------------------------------------------------


def test_a_failing_pass_is_named():
    def forward(self, x):
        if not self.training:
            raise ValueError("no weights for eval")
        return x

    with pytest.raises(
        TargetError,
        match=r"in the pass 'eval' with 16x32x64 float32, got ValueError: no weights for eval",
    ):
        of(forward)
    with pytest.raises(
        TargetError, match=r"the pass 'train' with no arguments.*--input gives it some"
    ):
        sites(nn.Linear(2, 2))


def test_train_of_its_own_fails():
    class Exported(nn.Module):
        def train(self, mode=True):
            raise NotImplementedError("use move_exported_model_to_eval")

    with pytest.raises(TargetError, match=r"'train'.*NotImplementedError"):
        sites(Exported(), X)


def test_ctrl_c_goes_through():
    def forward(self, x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        of(forward)
