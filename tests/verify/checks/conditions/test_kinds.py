"""Properties of some kinds only, and what is said of those that lack them."""

import math
import re

import pytest
import torch

from torchdropout.verify import stats
from torchdropout.verify.checks.conditions import kinds
from torchdropout.verify.context import Fault, Skip
from torchdropout.verify.registry import STATISTICAL
from verify._zoo import SMALL
from verify.checks._alone import context, counted, fault, noted, put, reason, run
from verify.correct import specs

SHARE = 1e-6 * 0.99 / STATISTICAL  # of the false-alarm rate, for each check that counts
SHAPES = [
    (1, 1, 1, 3), (2, 3, 5, 7), (2, 2, 16, 16), (1, 5, 33, 17), (1, 2, 130, 65), (1, 1, 3, 1025),
]  # fmt: skip


def attend(query, key, value, p, training, change=lambda w: w):
    weights = torch.softmax(query @ key.mT, -1)
    mask = torch.rand(weights.shape) >= p
    return change(weights * mask / (1 - p) if training else weights) @ value


def attention(change):
    def target(query, key, value, p, training):
        return attend(query, key, value, p, training, lambda w: change(w, p))

    return target


def test_the_weights_of_six_shapes():
    target, calls = noted(specs.attention)
    found = counted("attention-everywhere", target, spec="attention")
    assert {(*q[:3], k[2]) for q, k, *_ in calls} == set(SHAPES)
    for (query, key, value, p, training), times in calls.items():
        size = math.prod(query[:3]) * key[2]
        # One call with other scores.
        assert times == kinds.calls_to_tell(0.5, size, SHARE / 72) + 1
        assert (query[3], key, value[:3], value[3]) == (8, (*query[:2], key[2], 8), key[:3], key[2])
        assert (p, training) == (0.5, True)
    assert {size for _, size in found.shares} == {12 * 6}
    assert sum("all places" in label for label, *_ in found.tests) == 6
    assert found.tests[0][0].startswith("1 samples, 1 heads, 1 queries, 3 keys, all places")


@pytest.mark.parametrize("has_gradient", [True, False])
def test_the_gradients_of_each_shape_are_compared(has_gradient, monkeypatch):
    def target(query, key, value, p, training):
        return specs.attention(query, key, value, p, training)

    target.has_gradient, asked = has_gradient, []
    monkeypatch.setattr(kinds, "ATTENTION", SHAPES[:2])
    monkeypatch.setattr(kinds, "_demand_value_gradient", lambda *given: asked.append("values"))
    monkeypatch.setattr(kinds, "_demand_score_gradients", lambda *given: asked.append(given[2]))
    seen = run("attention-everywhere", target, spec="attention")
    assert seen.sees == "any two weights that share their draws, in 2 shapes"
    assert asked == (["values", SHAPES[0], "values", SHAPES[1]] if has_gradient else [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda w, p: w if w.shape[-1] != 17 else put(w, _0=0.0, _1=1.0),
            "1 samples, 5 heads, 33 queries, 17 keys: 1 of 2805 weights are neither 0 nor scaled "
            "by 1 / (1 - p), such as 17, expected 2",
        ),
        (
            lambda w, p: w * 1.002,
            "1 samples, 1 heads, 1 queries, 3 keys: ",
        ),
    ],
)
def test_weights_that_are_wrong(change, said):
    assert fault("attention-everywhere", attention(change), spec="attention").message.startswith(
        said
    )


def test_a_rate_of_weights_that_is_wrong(monkeypatch):
    monkeypatch.setattr(kinds, "ATTENTION", SHAPES[1:2])
    found = fault(
        "attention-everywhere",
        attention(lambda w, p: w * (torch.rand(w.shape) >= 0.5)),
        spec="attention",
    )
    assert re.match(r"p=0.5, 2 samples, .* all places: 0\.7\d* of \d+ dropped", found.message)


def test_heads_that_share_their_draws():
    def target(query, key, value, p, training):
        weights = torch.softmax(query @ key.mT, -1)
        mask = torch.rand(weights.shape) >= p
        if weights.shape == (2, 2, 16, 16):
            mask[:, 1] = mask[:, 0]
        return (weights * mask / (1 - p) if training else weights) @ value

    found = fault("attention-everywhere", target, spec="attention")
    assert found.message.startswith(
        "p=0.5, 2 samples, 2 heads, 16 queries, 16 keys, pairs 256 places apart, which differ: 0 of"
    )


@pytest.mark.parametrize(
    ("error", "is_right"), [(0.0, True), (0.9e-3, True), (-0.9e-3, True), (1.1e-3, False)]
)
def test_a_weight_may_be_a_thousandth_off(error, is_right):
    weights = torch.tensor([[0.0, 2.0, 2.0 * (1 + error)]])
    if is_right:
        assert kinds._demand_weights(weights, "here", 0.5).tolist() == [[False, True, True]]
    else:
        with pytest.raises(Fault) as caught:
            kinds._demand_weights(weights, "here", 0.5)
        assert caught.value.message == (
            "here: 1 of 3 weights are neither 0 nor scaled by 1 / (1 - p), such as 2.0022, "
            "expected 2"
        )


class Values(torch.autograd.Function):
    """Weights of values, with a gradient of the values that is its own."""

    @staticmethod
    def forward(ctx, value, weights, change):
        ctx.save_for_backward(weights)
        ctx.change = change
        return weights @ value

    @staticmethod
    def backward(ctx, g):
        (weights,) = ctx.saved_tensors
        return ctx.change(weights.mT @ g), None, None


def value_gradient(change):
    kept = (torch.arange(2 * 3 * 4 * 5) % 3 > 0).reshape(2, 3, 4, 5)
    kept[0, 0, :, 0] = False  # the first five values have a gradient of 0
    value = torch.eye(5).expand(2, 3, 5, 5).contiguous().requires_grad_()
    weights = Values.apply(value, kept * 2.0, change)
    ctx = context(torch.nn.Dropout)
    kinds._demand_value_gradient(ctx, weights, value, kept, "here", 0.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda g: put(g, _0=99.0, _7=99.0),
            "here: 2 of 150 gradients of the values are not",
        ),
        (lambda g: g * 1.001, "here: "),
        (lambda g: put(g, _0=math.nan), "here: 1 of 150 gradients of the values are not"),
        (lambda g: put(g, _0=2e-6), "here: 1 of 150 gradients of the values are not"),
        (lambda g: g[:1], "the gradient of the values raised "),
    ],
)
def test_a_gradient_of_values_that_is_wrong(change, said):
    with pytest.raises(Fault) as caught:
        value_gradient(change)
    assert caught.value.message.startswith(said)


def test_a_gradient_of_values_may_be_rounded():
    value_gradient(lambda g: g * (1 + 9e-5))
    value_gradient(lambda g: g + 0.9e-6)


class Scores(torch.autograd.Function):
    """Products of queries and keys, with gradients that are their own."""

    @staticmethod
    def forward(ctx, query, key, change):
        ctx.save_for_backward(query, key)
        ctx.change = change
        return query @ key.mT

    @staticmethod
    def backward(ctx, g):
        query, key = ctx.saved_tensors
        return (*ctx.change(g @ key, g.mT @ query), None)


def scored(change, scale=0.5):
    def target(query, key, value, p, training):
        weights = torch.softmax(scale * Scores.apply(query, key, change), -1)
        mask = torch.rand(weights.shape) >= p
        return (weights * mask / (1 - p) if training else weights) @ value

    ctx = context(target, spec="attention")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kinds._demand_score_gradients(ctx, ctx.build(0.5).target, (2, 3, 5, 7), "here", 0.5)


@pytest.mark.parametrize("scale", [1.0, 0.5, 8**-0.5])
def test_gradients_of_scores_that_are_right(scale):
    scored(lambda q, k: (q, k), scale)
    scored(lambda q, k: (q * (1 + 9e-5), k * (1 + 9e-5)), scale)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda q, k: (put(q, _0=99.0), k),
            "here: 1 of 240 gradients of the queries are",
        ),
        (lambda q, k: (q, put(k, _1=99.0, _5=9.0)), "here: 2 of 336 gradients of the keys are not"),
        (lambda q, k: (q, k * 1.01), "here: "),
        (lambda q, k: (q * math.nan, k), "here: 240 of 240 gradients of the queries"),
        (lambda q, k: (None, k), "here: the queries have no gradient"),
        (lambda q, k: (q, None), "here: the keys have no gradient"),
        (lambda q, k: (q[:1], k), "the gradient of the queries and keys raised "),
    ],
)
def test_gradients_of_scores_that_are_wrong(change, said):
    with pytest.raises(Fault) as caught:
        scored(change)
    assert caught.value.message.startswith(said)


def test_what_is_no_softmax_of_products_has_no_scores_to_compare():
    def target(query, key, value, p, training):
        weights = torch.softmax((query @ key.mT).tanh() + query.sum(), -1)
        return weights * (torch.rand(weights.shape) >= p) / (1 - p) @ value

    ctx = context(target, spec="attention")
    kinds._demand_score_gradients(ctx, ctx.build(0.5).target, (2, 3, 5, 7), "here", 0.5)


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_the_scale_of_scores(scale):
    products = torch.tensor([[[0.0, 1.0, 3.0], [5.0, 5.05, -9.0]]], dtype=torch.float64)
    weights = torch.softmax(scale * products, -1)
    kept = torch.tensor([[[True, True, True], [True, True, False]]])
    assert kinds._scale_of_scores(products, weights * 2, kept) == pytest.approx(scale)
    # From the row whose two kept products differ most, and from no fewer than a tenth.
    weights[0, 1] *= torch.tensor([1.0, 7.0, 1.0])
    assert kinds._scale_of_scores(products, weights, kept) == pytest.approx(scale)
    assert math.isnan(kinds._scale_of_scores(products[:, 1:], weights[:, 1:], kept[:, 1:]))
    far = torch.tensor([[[0.0, 0.11, 3.0]]], dtype=torch.float64)
    found = kinds._scale_of_scores(far, torch.softmax(far * scale, -1), kept[:, 1:])
    assert found == pytest.approx(scale)


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (lambda y: y[:, :1], "expected an output of shape (2, 3, 5, 7), got (2, 1, 5, 7)"),
        (lambda y: None, "expected an output of shape (2, 3, 5, 7), got NoneType"),
        (lambda y: [], "expected an output of shape (2, 3, 5, 7), got list"),
        (lambda y: 1 // 0, "attention of 3 heads, 5 queries and 7 keys raised ZeroDivisionError"),
    ],
)
def test_an_attention_that_gives_something_else(y, said):
    ctx = context(specs.attention, spec="attention")

    class Built:
        @staticmethod
        def call(query, training, key, value):
            return y(query @ key.mT @ value)

    query, key = torch.zeros(2, 3, 5, 8), torch.zeros(2, 3, 7, 8)
    with pytest.raises(Fault) as caught:
        kinds._attend(ctx, Built, query, key, torch.zeros(2, 3, 7, 7))
    assert caught.value.message.startswith(said)
    Built.call = staticmethod(lambda query, training, key, value: (query @ key.mT @ value, 1))
    assert kinds._attend(ctx, Built, query, key, torch.zeros(2, 3, 7, 7)).shape == (2, 3, 5, 7)


# --- Embeddings -----------------------------------------------------------------------------------


class Words(torch.nn.Module):
    """Drops rows of its weight, or words of its output."""

    def __init__(self, p=0.5, rows=100, change=None):
        super().__init__()
        self.embedding = torch.nn.Embedding(rows, 4)
        self.p, self.change = p, change
        self.given = []

    def forward(self, indices):
        self.given.append(indices.clone())
        weight = self.embedding.weight
        if self.training:
            weight = weight * (torch.rand(len(weight), 1) >= self.p) / (1 - self.p)
        y = torch.nn.functional.embedding(indices, weight)
        return self.change(y) if self.training and self.change else y


class Built:
    def __init__(self, module):
        self.module = module
        self.target = self


def repeats(module, monkeypatch):
    ctx = context(torch.nn.Dropout(0.5))
    monkeypatch.setattr(ctx, "build", lambda p: Built(module))
    return kinds.embedding_repeats.run(ctx)


@pytest.mark.parametrize(("rows", "some"), [(100, 64), (64, 64), (20, 20)])
def test_rows_of_an_embedding_are_looked_up_three_times(rows, some, monkeypatch):
    module = Words(rows=rows)
    module.eval()
    seen = repeats(module, monkeypatch)
    assert seen.message == f"{some} rows, three times each in a call"
    assert len(module.given) == 8
    first = torch.arange(some)
    assert all(torch.equal(g, torch.cat([first, first.flip(0), first])) for g in module.given)
    assert module.training


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda y: put(y, **{f"_{4 * 128}": 99.0}), "1 of 128 repeated rows differ from the first"),
        (lambda y: put(y, **{f"_{4 * 64}": 99.0}), "1 of 128 repeated rows differ from the first"),
        (lambda y: put(y, _0=99.0, _1=99.0), "2 of 128 repeated rows differ from the first"),
        (lambda y: y @ y, "a call with indices that repeat raised "),
    ],
)
def test_rows_of_an_embedding_that_differ(change, said, monkeypatch):
    with pytest.raises(Fault) as caught:
        repeats(Words(change=change), monkeypatch)
    assert caught.value.message.startswith(said)


@pytest.mark.parametrize("module", [None, torch.nn.Linear(2, 2)])
def test_a_module_without_an_embedding_has_no_rows(module, monkeypatch):
    with pytest.raises(Skip, match="the target is not an embedding"):
        repeats(module, monkeypatch)


def test_an_embedding_that_differs_once_in_eight_calls(monkeypatch):
    calls = []

    def change(y):
        calls.append(y)
        return put(y, _0=99.0) if len(calls) == 8 else y

    with pytest.raises(Fault, match="2 of 128 repeated rows"):
        repeats(Words(change=change), monkeypatch)


# --- Other arguments ------------------------------------------------------------------------------


def writes(spec, name, mode):
    """A target of a kind that writes into two values of an argument in one mode."""

    def write(training, **given):
        if training is (mode == "training"):
            given[name].view(-1)[:2].fill_(7.0) if given[name].is_contiguous() else given[
                name
            ].data[..., 0, :2].fill_(7.0)

    def add(x, p, training, residual, bias):
        write(training, residual=residual, bias=bias)
        return residual + x + bias

    def zoneout(new, old, p, training):
        write(training, old=old)
        return new

    def attention(query, key, value, p, training):
        write(training, key=key, value=value)
        return torch.softmax(query @ key.mT, -1) @ value

    return {"dropout-add": add, "zoneout": zoneout, "attention": attention}[spec]


@pytest.mark.parametrize(
    ("spec", "name", "size", "changed"),
    [
        ("dropout-add", "residual", 480, 2),
        ("dropout-add", "bias", 20, 2),
        ("zoneout", "old", 480, 2),
        ("attention", "key", 288, 2),
        ("attention", "value", 288, 8),
    ],
)
@pytest.mark.parametrize("mode", ["training", "eval"])
def test_an_argument_that_is_written_to(spec, name, size, changed, mode):
    found = fault("arguments-unmodified", writes(spec, name, mode), spec=spec)
    assert found.message == f"{changed} of {size} values of `{name}` changed in {mode}"


def test_an_argument_that_a_kind_has():
    shapes = {
        "dropout-add": (specs.dropout_add, ((24, 20), 0.5, True, (24, 20), (20,))),
        "zoneout": (specs.zoneout, ((24, 20), (24, 20), 0.5, True)),
        "attention": (specs.attention, ((2, 2, 5, 8), (2, 2, 9, 8), (2, 2, 9, 8), 0.5, True)),
    }
    for spec, (rule, first) in shapes.items():
        target, calls = noted(rule)
        run("arguments-unmodified", target, spec=spec)
        in_eval = tuple(False if part is True else part for part in first)
        assert calls == {first: 1, in_eval: 1}
    assert reason("arguments-unmodified", torch.nn.Dropout) == "it takes no tensor except x"


# --- Pairs of noise -------------------------------------------------------------------------------

LAGS = (1, 2, 3, 4, 8, 16, 32, 64, 128, 256)


def test_noise_is_compared_in_sign_and_size():
    found = counted("noise-pairs", specs.gaussian, spec="gaussian")
    each = SHARE / 22
    needed = min(stats.size_for(0.5, 2 * SMALL.correlation, each), SMALL.most)
    n = math.ceil(needed / 512) * 512
    assert found.tests == [
        test
        for what in ("on different sides of the median", "of which one is in the middle half")
        for test in (
            *((f"lag {lag}, pairs {what}", 2 * n // (2 * lag) * lag, 0.5, 2.0**-24)
              for lag in LAGS),
            (f"halves of a call, pairs {what}", n, 0.5, 2.0**-24),
        )
    ]  # fmt: skip
    seen = 2 * stats.smallest_seen(n, 0.5, each)
    assert found.seen.sees == f"a correlation of {seen:.2g} of signs or sizes"


def noise(make):
    def drop(x, p, training):
        z = make(torch.randn(x.shape))
        return x * (1 + z * math.sqrt(p / (1 - p))) if training else x

    return drop


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda z: z.view(-1, 2)[:, :1].abs().expand(-1, 2).reshape(-1) * z.sign(),
            "lag 1, pairs of which one is in the middle half: 0 of ",
        ),
        (
            lambda z: z.view(-1, 2, 256)[:, :1].expand(-1, 2, 256).reshape(-1),
            "lag 256, pairs on different sides of the median: 0 of ",
        ),
        (
            lambda z: torch.cat([z[: len(z) // 2], -z[: len(z) // 2]]),
            "halves of a call, pairs on different sides of the median: 1 of ",
        ),
    ],
)
def test_noise_whose_numbers_depend_on_each_other(make, said):
    found = fault("noise-pairs", noise(make), spec="gaussian")
    assert found.message.startswith(f"p=0.5, {said}")


@pytest.mark.parametrize(
    ("target", "spec", "why"),
    [
        (
            specs.feature_gaussian,
            "feature-gaussian",
            "applies only to continuous noise of one number for each element",
        ),
        (
            specs.alpha,
            "alpha",
            "applies only to continuous noise of one number for each element",
        ),
        (
            specs.relaxed,
            "concrete",
            "p=0.5: rounding decides where a number is in the distribution",
        ),
    ],
)
def test_what_has_no_such_noise(target, spec, why):
    assert reason("noise-pairs", target, spec=spec) == why
