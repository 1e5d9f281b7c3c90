"""What a target may claim to be: names, inference, and the view that the checks get."""

import functools

import pytest
import torch
from torch.nn import functional as F

from torchdropout.errors import ArgumentTypeError, ArgumentValueError, TargetError
from torchdropout.verify import SPECS, check_subject
from torchdropout.verify.specs import PLAIN, infer, parse
from torchdropout.verify.specs.effect import decode_affine
from torchdropout.verify.targets import resolve
from verify._zoo import COARSE, SHORT, with_needed

KEEP = {"n c * *": "dropout2d", "n * *": "drop-path", "n * c": "locked"}


def status(report):
    return {check.rule.name: check.status for check in report.checks}


# Names


@pytest.mark.parametrize("name", SPECS)
def test_a_kind_is_found_by_its_name(name):
    assert parse(name) is SPECS[name]
    assert parse(SPECS[name]) is SPECS[name]


@pytest.mark.parametrize(
    ("told", "attribute", "value"),
    [
        ("plain:quantised=256", "bits", 8),
        ("plain:bits=10", "bits", 10),
        ("plain:quantised=2", "bits", 1),
        ("tokens:group=16", "group", 16),
        ("tokens:group=1", "group", 1),
        ("drop-block:block=5", "block", 5),
        ("attention:keys=64", "keys", 64),
        ("drop-block3d:size=4", "multiple", 64),
        ("drop-block1d:block=3", "arguments", {"block_size": 3}),
    ],
)
def test_a_number_is_told_after_a_colon(told, attribute, value):
    assert getattr(parse(told), attribute) == value


@pytest.mark.parametrize(
    ("spec", "error", "match"),
    [
        ("dropout2", ArgumentValueError, "close to it: dropout2d"),
        ("", ArgumentValueError, "there are: plain"),
        (7, ArgumentTypeError, r"got spec=7 \(int\)"),
        ("plain:quantised=100", ArgumentValueError, "a power of two"),
        ("plain:colour=3", ArgumentValueError, "set one of bits"),
        ("plain:bits", ArgumentValueError, "whole number"),
        ("plain:bits=", ArgumentValueError, "whole number"),
        ("plain:bits=0", ArgumentValueError, "whole number"),
        ("plain:bits=-8", ArgumentValueError, "whole number"),
        ("plain:quantised=1", ArgumentValueError, "a power of two"),
        ("plain:8", ArgumentValueError, "whole number"),
        ("tokens:quantised=256", ArgumentValueError, "of a kind that scales"),
        ("alpha:bits=8", ArgumentValueError, "of a kind that scales"),
    ],
)
def test_a_name_that_is_none_is_refused(spec, error, match):
    with pytest.raises(error, match=match):
        parse(spec)


def test_the_size_of_a_plane_changes_what_follows_from_it():
    assert parse("drop-block:size=8").multiple == 64
    assert parse("drop-block:block=5").arguments == {"block_size": 5}


# Inference


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (torch.nn.Dropout, "plain"),
        (torch.nn.Dropout1d, "dropout1d"),
        (torch.nn.Dropout2d(0.3), "dropout2d"),
        (F.dropout3d, "dropout3d"),
        (torch.feature_dropout, "dropout2d"),
        (torch.nn.AlphaDropout, "alpha"),
        (F.feature_alpha_dropout, "feature-alpha"),
        (F.scaled_dot_product_attention, "attention"),
        (functools.partial(torch.nn.Dropout2d, 0.5), "dropout2d"),
        (type("Mine", (torch.nn.Dropout2d,), {}), "dropout2d"),
        (len, "plain"),
        (object(), "plain"),
    ],
)
def test_the_kind_of_a_known_class_is_inferred(thing, name):
    assert infer(thing).name == name


def test_torchvision_is_known():
    ops = pytest.importorskip("torchvision").ops
    assert infer(ops.StochasticDepth(0.5, "row")).name == "drop-path"
    assert infer(ops.StochasticDepth(0.5, "batch")).name == "drop-path-batch"
    assert infer(functools.partial(ops.StochasticDepth, mode="batch")).name == "drop-path-batch"
    assert infer(ops.DropBlock2d).name == "drop-block"


def test_what_is_told_beats_what_is_inferred():
    assert resolve(torch.nn.Dropout2d).spec.name == "dropout2d"
    assert resolve(torch.nn.Dropout2d, spec="plain").spec is PLAIN


def test_a_target_without_the_inputs_of_its_kind_is_refused():
    with pytest.raises(TargetError, match="to take `residual`, as dropout-add does"):
        resolve(F.dropout, spec="dropout-add")


# The view


@pytest.mark.parametrize("pattern", KEEP)
def test_a_draw_stands_for_all_elements_that_share_it(pattern):
    spec = SPECS[KEEP[pattern]]
    dropped = 1

    def target(x, p, training):
        y = x.clone()
        y.movedim(spec.pattern.split().index("n"), 0)[dropped] = 0
        return y / (1 - p) if training else x

    built = resolve(target, spec=spec).build(0.5)
    x = torch.arange(1.0, 13).reshape(4, 3)
    y = built.call(x, True)
    want = x * 2
    if "c" in pattern:
        want[dropped] = 0
    else:
        want.view(-1)[dropped] = 0
    assert torch.equal(y, want)
    assert torch.equal(built.call(x, False), x)


@pytest.mark.parametrize("shape", [(), (1,), (0,), (5,), (0, 3), (4, 6), (2, 3, 4, 5)])
@pytest.mark.parametrize("name", [n for n in SPECS if n not in ("weights", "drop-path-batch")])
def test_the_view_has_the_shape_of_x(name, shape):
    spec = SPECS[name]
    seen = []

    def identity(x, p, training=True, **inputs):
        seen.append(tuple(x.shape))
        if name == "attention":
            probabilities = (x @ inputs["key"].transpose(-1, -2)).softmax(-1)
            return probabilities @ inputs["value"]
        return x

    if spec.inputs:

        def target(
            x, residual=None, bias=None, key=None, value=None, old=None, p=0.5, training=True
        ):
            return identity(x, p, training, key=key, value=value)

    else:

        def target(x, p, training):
            return identity(x, p, training)

    x = torch.rand(shape) + 0.5
    y = resolve(target, spec=name).build(0.5).call(x, False)
    assert y.shape == x.shape
    assert torch.equal(y, x)
    assert seen


def test_a_strided_x_becomes_a_strided_input():
    seen = []

    def target(x, p, training):
        seen.append(x.is_contiguous())
        return x

    built = resolve(target, spec="dropout2d").build(0.5)
    x = torch.rand(4, 6)
    built.call(x, True)
    built.call(x.T.contiguous().T, True)
    assert seen == [True, False]


def test_a_target_that_writes_into_its_input_is_seen_through_the_view():
    def target(x, p, training):
        return x.mul_(2)

    x = torch.ones(4, 6)
    resolve(target, spec="drop-path").build(0.5).call(x, True)
    assert torch.equal(x, torch.full((4, 6), 2.0))


def test_the_gradient_of_every_place_that_shares_a_draw_is_looked_at():
    class LosesPlaces(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            grad = grad.clone()
            grad[..., 1] = 0
            return grad

    built = resolve(lambda x, p, training: LosesPlaces.apply(x), spec="dropout1d").build(0.5)
    x = torch.ones(4, 8, requires_grad=True)
    built.call(x, True).sum().backward()
    assert 0 < int((x.grad == 0).sum()) < x.numel()


def test_alpha_is_read_as_the_dropout_it_stands_for():
    spec = SPECS["alpha"]
    x = torch.tensor([0.5, -1.0, 1.25, 0.75], dtype=torch.float64)
    a, b, dropped = spec.effect.constants(0.25)
    y = a * x + b
    y[1] = dropped
    read = spec.effect.decode(x, y, 0.25)
    want = x / 0.75
    want[1] = 0
    assert torch.equal(read, want)

    y[2] += 1e-3
    read = spec.effect.decode(x, y, 0.25)[2]
    assert read != want[2]
    assert float(read) == pytest.approx(float((y[2] - b) / (a * 0.75)), rel=1e-12)


@pytest.mark.parametrize(("error", "is_allowed"), [(0.9, True), (1.5, False)])
def test_p_may_be_held_in_float32(error, is_allowed):
    """Near 1 this matters more than the rounding of the values."""
    p, constants = 0.9999, (3.0, 0.5, -2.0)
    x = torch.linspace(1.5, 1.9, 9)
    off = error * 2.0**-24 / (1 - p)
    read = functools.partial(decode_affine, x, p=p, constants=[constants], size=4.0)
    kept = (x.double() * 3 * (1 + off) + 0.5).float()
    assert torch.equal(read(kept), (x.double() / (1 - p)).float()) is is_allowed
    dropped = torch.full_like(x, -2.0 + 4 * off)
    assert bool((read(dropped) == 0).all()) is is_allowed
    assert bool((read(dropped) == 0).any()) is is_allowed


def test_the_constants_keep_mean_and_variance():
    for p in (0.1, 0.5, 0.9):
        a, b, dropped = SPECS["alpha"].effect.constants(p)
        mean = p * dropped + (1 - p) * b
        variance = p * dropped**2 + (1 - p) * (a**2 + b**2) - mean**2
        assert mean == pytest.approx(0, abs=1e-12)
        assert variance == pytest.approx(1)


def test_noise_below_its_quantile_counts_as_dropped():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(100_000, generator=generator) + 0.5
    noise = 1 + torch.randn(100_000, generator=generator) / 3
    read = SPECS["gaussian"].effect.decode(x, x * noise, 0.1)
    assert float((read == 0).double().mean()) == pytest.approx(0.1, abs=0.005)


# Whole runs, at the level of the tests


class Tokens(torch.nn.Module):
    """Keeps round(L (1 - p)) tokens, and returns their places, too."""

    def __init__(self, prob):
        super().__init__()
        if not 0 <= prob < 1:
            raise ValueError(f"Expected `prob` in [0, 1), got prob={prob!r}")
        self.prob = prob

    def forward(self, x):
        if not self.training:
            return x
        kept = max(1, round(x.shape[1] * (1 - self.prob)))
        order = torch.rand(x.shape[:2]).argsort(1)[:, :kept].sort(1).values
        return x.gather(1, order[..., None].expand(-1, -1, x.shape[2])), order


@pytest.mark.parametrize(
    ("target", "spec", "asked"),
    [
        (torch.nn.Dropout2d, None, "shared-mask"),
        (Tokens, "tokens", "fixed-count"),
        (F.scaled_dot_product_attention, None, "kept-scale"),
    ],
)
def test_a_right_one_passes_and_is_asked_what_its_kind_is_asked(judge, target, spec, asked):
    report = judge(resolve(target, spec=spec), only=SHORT)
    errors = [f.message for f in report.findings if f.severity == "error"]
    assert errors == []
    assert status(report)[asked] == "ok"
    assert report.spec == (spec or infer(target).name)


def test_what_shares_draws_returns_x_in_eval():
    only = frozenset({"output-shape", "shared-mask"})

    def doubles(x, p, training):
        return F.dropout1d(x, p) if training else 2 * x

    def has_no_eval(x, p):
        return F.dropout1d(x, p)

    report = check_subject(resolve(doubles, spec="dropout1d"), level=COARSE, only=only)
    assert [f.message for f in report.findings] == ["eval does not return x"]
    assert check_subject(resolve(has_no_eval, spec="dropout1d"), level=COARSE, only=only).passed


@pytest.mark.parametrize("variances", [(0.4, 1.5), (0.6, 1.5)])
def test_the_moments_reported_are_those_furthest_from_1(variances):
    def target(x, p, training):
        y = F.alpha_dropout(x, p, training)
        return y * variances[p > 0.4] ** 0.5 if training else y

    subject = resolve(target, spec="alpha")
    report = check_subject(subject, level=COARSE, only=with_needed("alpha-moments"))
    (finding,) = report.findings
    seen = [m["variance"] for m in finding.figures["moments"].values()]
    worst = max(seen, key=lambda variance: abs(variance - 1))
    assert worst == pytest.approx(max(variances, key=lambda v: abs(v - 1)), rel=0.1)
    assert f", variance {worst:.4g}; " in finding.message


def test_an_honest_eight_bit_kernel_passes_as_such_and_fails_as_exact(judge):
    def eight_bits(x, p, training):
        if not 0 <= p <= 1:
            raise ValueError(f"p={p} is not a probability")
        if not training:
            return x
        drop = torch.randint(0, 256, x.shape, device=x.device) < round(p * 256)
        return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)

    assert judge(resolve(eight_bits, spec="plain:quantised=256"), only=SHORT).passed
    exact = judge(resolve(eight_bits), only=with_needed("drop-rate"))
    assert exact.findings[0].name == "drop-rate"


def test_a_compiled_and_a_checkpointed_target_are_judged_as_such():
    names = frozenset({"output-shape", "train-stochastic", "kept-scale", "grad-mask"})
    for how, said in (({"compile": "aot_eager"}, "compiled"), ({"checkpoint": True}, "checkpoint")):
        subject = resolve(torch.nn.Dropout, **how)
        assert said in subject.description
        report = check_subject(subject, level="quick", only=names)
        assert report.passed
        assert len(report.checks) == len(names)


def test_compiling_shows_what_only_compiled_code_does():
    def constant_when_compiled(x, p, training):
        if not training:
            return x
        if torch.compiler.is_compiling():
            return x * 1.0
        return F.dropout(x, p)

    names = frozenset({"train-stochastic"})
    eager = check_subject(resolve(constant_when_compiled), level="quick", only=names)
    compiled = check_subject(
        resolve(constant_when_compiled, compile="aot_eager"), level="quick", only=names
    )
    assert eager.passed
    assert not compiled.passed


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ArgumentValueError, match="to be a device of this machine"):
        resolve(torch.nn.Dropout, device="nowhere")
    assert "on cpu" in resolve(torch.nn.Dropout, device="cpu").description


def test_a_fused_target_without_a_bias_is_judged_without(judge):
    def add(x, residual, p, training):
        return residual + F.dropout(x, p, training)

    def drops_both(x, residual, p, training):
        return F.dropout(x + residual, p, training)

    assert judge(resolve(add, spec="dropout-add"), only=SHORT).passed
    found = judge(resolve(drops_both, spec="dropout-add"), only=SHORT).findings
    assert [f.name for f in found if f.severity == "error"] == ["fused-composition"]
