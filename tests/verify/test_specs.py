"""What a target may claim to be: names, inference, and the view that the checks get."""

import dataclasses
import functools
import math

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from torch.nn import functional as F

import torchdropout as td
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, TargetError
from torchdropout.verify import SPECS, check_subject, probability
from torchdropout.verify.context import Fault
from torchdropout.verify.probability import Normal
from torchdropout.verify.specs import PLAIN, Elementwise, infer, parse
from torchdropout.verify.specs.composed import expected
from torchdropout.verify.specs.effect import (
    ALPHA,
    Added,
    Alpha,
    AnyScale,
    Gaussian,
    Noise,
    Relaxed,
    Scaled,
    Uniform,
    _near,
    _slack,
    decode_affine,
)
from torchdropout.verify.specs.weights import _weight
from torchdropout.verify.subject import Spec, because, held
from torchdropout.verify.targets import resolve
from verify._zoo import COARSE, SHORT, with_needed

KEEP = {
    "n c * *": "dropout2d",
    "n * *": "drop-path",
    "n * c": "locked",
    "* n c": "locked-time-first",
    "* n": "columns",
}


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
        ("drop-path:axes=4", "pattern", "n * * *"),
        ("drop-path-batch:axes=4", "pattern", "* * * *"),
        ("drop-path:axes=2", "cost", 4),
        ("locked:axes=4", "pattern", "n * c *"),
        ("columns:axes=3", "pattern", "* n *"),
        ("columns:axes=2", "pattern", "* n"),
        ("columns:axes=3", "cost", 12),
        ("plain:unscaled", "title", "plain, unscaled"),
        ("dropout2d:unscaled,bits=8", "title", "dropout2d, p held to 8 bits, unscaled"),
        ("drop-path:axes=4,unscaled", "title", "drop-path, 4 axes, unscaled"),
        ("columns:first", "title", "columns, first of a tuple"),
        ("tokens:first", "first", True),
    ],
)
def test_a_number_is_told_after_a_colon(told, attribute, value):
    assert getattr(parse(told), attribute) == value


def test_a_number_that_a_kind_has_changes_nothing():
    told = 0
    for name, spec in SPECS.items():
        for key in ("group", "keys", "queries", "heads", "size", "block"):
            if hasattr(spec, key):
                assert parse(f"{name}:{key}={getattr(spec, key)}") == spec
                told += 1
        pattern = getattr(spec, "pattern", "")
        if pattern and type(spec.effect) is Scaled:  # noise has a cost of its own
            found = parse(f"{name}:axes={len(pattern.split())}")
            told += 1
            assert dataclasses.replace(found, notes=(), ranks=spec.ranks) == spec
    assert told > 15


@pytest.mark.parametrize(
    ("spec", "error", "match"),
    [
        ("dropout2", ArgumentValueError, "close to it: dropout2d"),
        ("", ArgumentValueError, "the kinds are: plain"),
        (7, ArgumentTypeError, r"got spec=7 \(int\)"),
        ("plain:quantised=100", ArgumentValueError, "a power of two"),
        ("plain:colour=3", ArgumentValueError, "set one of bits"),
        ("plain:bits", ArgumentValueError, "whole number"),
        ("plain:bits=", ArgumentValueError, "whole number"),
        ("plain:bits=0", ArgumentValueError, "whole number"),
        ("plain:bits=-8", ArgumentValueError, "whole number"),
        ("plain:quantised=1", ArgumentValueError, "a power of two"),
        ("plain:8", ArgumentValueError, "whole number"),
        ("tokens:quantised=256", ArgumentValueError, "for a kind that scales"),
        ("alpha:bits=8", ArgumentValueError, "for a kind that scales"),
        ("alpha:unscaled", ArgumentValueError, "for a kind that scales"),
        ("gaussian:unscaled", ArgumentValueError, "for a kind that scales"),
        ("attention:unscaled", ArgumentValueError, "for a kind that scales"),
        ("plain:unscaled=1", ArgumentValueError, "or unscaled or first without one"),
        ("plain:axes=3", ArgumentValueError, "set one of bits, quantised"),
        ("tokens:removes=1", ArgumentValueError, "set one of bits, group, quantised"),
        ("locked:axes=2", ArgumentValueError, "from 1 to 4 axes that share a draw"),
        ("dropout2d:axes=2", ArgumentValueError, "from 1 to 4 axes that share a draw"),
        ("drop-path:axes=1", ArgumentValueError, "from 1 to 4 axes that share a draw"),
        ("drop-path:axes=6", ArgumentValueError, "from 1 to 4 axes that share a draw"),
        ("columns:axes=1", ArgumentValueError, "from 1 to 4 axes that share a draw"),
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


@pytest.mark.parametrize(
    ("thing", "attribute", "value"),
    [
        (td.nn.DropBlock1d(0.1, 3), "block", 3),
        (td.nn.DropBlock2d(0.1, 1), "block", 1),
        (td.nn.DropBlock3d(0.1, 5), "block", 5),
        (td.nn.NMDropout(1, 3), "group", 3),
    ],
)
def test_the_numbers_of_an_instance_are_those_of_its_kind(thing, attribute, value):
    assert getattr(infer(thing), attribute) == value


class DropPath(torch.nn.Module):
    """In the manner of timm's, whose signature this is."""

    def __init__(self, drop_prob=0.0, scale_by_keep=True):
        super().__init__()
        self.drop_prob, self.scale_by_keep = drop_prob, scale_by_keep

    def forward(self, x):
        keep = 1 - self.drop_prob
        if not self.training or keep == 1:
            return x
        mask = x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(keep)
        return x * (mask / keep if self.scale_by_keep and keep else mask)


class RNNDropout(torch.nn.Module):
    """In the manner of fastai's: batch first."""

    def __init__(self, p=0.5):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training or self.p == 0:
            return x
        mask = x.new_empty(len(x), 1, *x.shape[2:]).bernoulli_(1 - self.p)
        return x * (mask / (1 - self.p) if self.p < 1 else mask)


class LockedDropout(torch.nn.Module):
    """In the manner of torchnlp's: time first."""

    def __init__(self, p=0.5, batch_first=False):
        super().__init__()
        self.p, self.batch_first = p, batch_first

    def forward(self, x):
        if not self.training or not self.p:
            return x
        drop = torch.rand_like(x[:, :1] if self.batch_first else x[:1]) < self.p
        return x.masked_fill(drop, 0) * (1 / (1 - self.p) if self.p < 1 else 0)


def mask_feature(x, p=0.5, mode="col", fill_value=0.0, training=True):
    """With the semantics of torch_geometric's."""
    if not 0 <= p <= 1:
        raise ValueError(f"Masking ratio has to be between 0 and 1 (got {p})")
    if not training or p == 0:
        return x, torch.ones_like(x, dtype=torch.bool)
    shape = {"row": (len(x), 1), "col": (1, *x.shape[1:]), "all": x.shape}[mode]
    mask = torch.rand(shape) >= p
    return x.masked_fill(~mask, fill_value), mask


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(DropPath, "__module__", "timm.layers.drop")
    monkeypatch.setattr(RNNDropout, "__module__", "fastai.text.models.awdlstm")
    monkeypatch.setattr(LockedDropout, "__module__", "torchnlp.nn.lock_dropout")
    monkeypatch.setattr(mask_feature, "__module__", "torch_geometric.utils.mask")


@pytest.mark.parametrize(
    ("thing", "title"),
    [
        (DropPath, "drop-path"),
        (functools.partial(DropPath, scale_by_keep=False), "drop-path, unscaled"),
        (DropPath(0.5, scale_by_keep=False), "drop-path, unscaled"),
        (RNNDropout, "locked"),
        (LockedDropout, "locked-time-first"),
        (LockedDropout(0.3), "locked-time-first"),
        (mask_feature, "columns, unscaled, first of a tuple"),
        (functools.partial(mask_feature, mode="row"), "embedding, unscaled, first of a tuple"),
        (functools.partial(mask_feature, mode="all"), "plain, unscaled, first of a tuple"),
        (functools.partial(td.nn.LockedDropout, time_dim=0), "locked-time-first"),
        (td.nn.LockedDropout(0.5, time_dim=0), "locked-time-first"),
        (td.nn.LockedDropout(0.5), "locked"),
    ],
)
def test_an_argument_makes_a_known_kind_another_one(known, run_checks, thing, title):
    subject = resolve(thing)
    assert subject.spec.title == title
    errors = [f.message for f in run_checks(subject, only=RIGHT).findings if f.severity == "error"]
    assert errors == []


@pytest.mark.parametrize(
    ("module", "called", "title"),
    [
        ("monai.networks.nets.efficientnet", "drop_connect", "drop-path"),
        ("segmentation_models_pytorch.encoders._efficientnet", "drop_connect", "drop-path"),
        ("kornia.models.common", "DropPath", "drop-path"),
        ("braindecode.functional.functions", "drop_path", "drop-path"),
        ("tsai.models.layers", "DropPath", "drop-path"),
        ("tsai.models.TabTransformer", "FullEmbeddingDropout", "columns, 3 axes"),
        ("pytorch_widedeep.models", "FullEmbeddingDropout", "columns, 3 axes"),
        ("torchnlp.nn.weight_drop", "WeightDropLinear", "weights"),
        ("braindecode.augmentation.transforms", "GaussianNoise", "plain"),
        ("torchnlp_extra", "LockedDropout", "plain"),
        ("mine", "DropPath", "plain"),
    ],
)
def test_what_other_packages_call_their_dropouts_is_known(module, called, title):
    assert infer(type(called, (), {"__module__": module})).title == title


RIGHT = with_needed("grad-scale") | with_needed("shared-mask") | {"eval-identity", "p-one-zeros"}


def _errors(report):
    return [f.name for f in report.findings if f.severity == "error"]


def test_each_locked_dropout_is_right_as_what_it_is_and_wrong_as_the_other(run_checks):
    first, second = functools.partial(LockedDropout), RNNDropout
    for target, own, other in (
        (first, "locked-time-first", "locked"),
        (second, "locked", "locked-time-first"),
    ):
        named = {"batch_first": False} if target is first else {}
        bound = functools.partial(target, **named)
        assert _errors(run_checks(resolve(bound, spec=own), only=RIGHT)) == []
        assert _errors(run_checks(resolve(bound, spec=other), only=RIGHT)) == ["shared-mask"]


@pytest.mark.parametrize(("spec", "first"), [("locked", True), ("locked-time-first", False)])
def test_a_layer_of_both_layouts_is_built_in_the_one_that_is_named(spec, first):
    subject = resolve(LockedDropout, spec=spec)
    assert f"batch_first={first}" in subject.description
    assert subject.build(0.5).module.batch_first is first


UNSCALED = [
    (lambda x: x.shape, "plain"),
    (lambda x: x.shape[:1], "drop-path"),
    (lambda x: x.shape[:2], "dropout1d"),
    (lambda x: x.shape[:2], "dropout2d"),
    (lambda x: x.shape[:2], "dropout3d"),
    (lambda x: x.shape[:1], "embedding"),
]


@pytest.mark.parametrize(("of", "kind"), UNSCALED, ids=[kind for _, kind in UNSCALED])
@pytest.mark.parametrize("is_scaled", [False, True])
def test_a_kind_may_be_unscaled(run_checks, of, kind, is_scaled):
    def target(x, p, training):
        if not training:
            return x
        own = of(x)
        drop = (torch.rand(own) < p).reshape(*own, *[1] * (x.ndim - len(own)))
        return x.masked_fill(drop, 0) * (1 / (1 - p) if is_scaled and p < 1 else 1)

    unscaled = run_checks(resolve(target, spec=f"{kind}:unscaled"), only=RIGHT)
    assert _errors(unscaled) == (["kept-scale"] if is_scaled else [])
    scaled = run_checks(resolve(target, spec=kind), only=RIGHT)
    assert _errors(scaled) == ([] if is_scaled else ["kept-scale"])


def test_an_unscaled_kind_asks_the_target_not_to_scale():
    subject = resolve(DropPath, spec="drop-path:unscaled")
    assert "scale_by_keep=False" in subject.description
    assert subject.build(0.5).module.scale_by_keep is False


def test_a_tuple_is_an_error_where_nothing_says_that_its_first_is_the_output(run_checks):
    target = functools.partial(mask_feature, mode="all")
    found = run_checks(resolve(target, spec="plain:unscaled"), only=frozenset({"output-shape"}))
    assert found.findings[0].message == "expected a tensor, got tuple"
    assert run_checks(resolve(target, spec="plain:unscaled,first"), only=RIGHT).passed


def _path(axes):
    """A drop path that takes inputs of so many axes only."""

    def target(x, drop_prob, training):
        if x.ndim != axes:
            raise ValueError(f"{x.ndim} axes")
        if not training:
            return x
        drop = torch.rand(len(x), *[1] * (axes - 1)) < drop_prob
        return x.masked_fill(drop, 0) * (1 / (1 - drop_prob) if drop_prob < 1 else 0)

    return target


def _of_images(x, drop_prob, training):
    """On any other input it broadcasts to another shape."""
    if not training:
        return x
    drop = torch.rand(len(x), 1, 1, 1) < drop_prob
    return x.masked_fill(drop, 0) * (1 / (1 - drop_prob) if drop_prob < 1 else 0)


@pytest.mark.parametrize(
    ("target", "pattern", "note"),
    [
        (_path(4), "n * * *", "drop-path, 4 axes"),
        (_path(2), "n *", "drop-path, 2 axes"),
        (_path(3), "n * *", "drop-path"),
        (_of_images, "n * * *", "drop-path, 4 axes"),
        (DropPath, "n * *", "drop-path"),
    ],
)
def test_a_drop_path_is_given_the_axes_that_it_takes(run_checks, target, pattern, note):
    subject = resolve(target, spec="drop-path")
    assert subject.spec.pattern == pattern
    assert subject.spec.title == note
    assert subject.description.endswith(f"verified as {note}")
    assert _errors(run_checks(subject, only=RIGHT)) == []


def test_a_drop_path_that_takes_nothing_is_reported_for_what_it_raises(run_checks):
    report = run_checks(resolve(_path(7), spec="drop-path"), only=RIGHT)
    assert report.findings[0].message.endswith("ValueError: 3 axes")


def test_the_axes_are_not_tried_where_they_are_named():
    assert resolve(_path(4), spec="drop-path:axes=2").spec.pattern == "n *"


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


def test_a_batch_that_is_not_scaled_is_read_in_training_alone():
    def target(x, drop_prob, training):
        return x.clone()

    x = torch.tensor([1.0, 1.5])
    built = resolve(target, spec="drop-path-batch:unscaled").build(0.5)
    assert built.call(x, False).tolist() == [1, 1.5]
    assert built.call(x, True).tolist() == [2, 3]


def test_a_batch_may_be_written_into_and_may_be_empty():
    built = resolve(lambda x, p, training: x.mul_(2), spec="drop-path-batch").build(0.5)
    x = torch.ones(3, requires_grad=True)
    built.call(x, True).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]
    assert built.call(torch.ones(0, 3), True).shape == (0, 3)


@pytest.mark.parametrize("spec", ["plain:unscaled", "dropout1d:unscaled"])
def test_what_is_written_into_is_read_against_what_it_was(spec):
    def target(x, p, training):
        x[:, 1] = 0
        return x

    x = torch.tensor([[1.0, 1.5], [2.0, 0.75], [math.inf, math.nan]])
    read = resolve(target, spec=spec).build(0.5).call(x, True)
    assert read.tolist() == [[2, 0], [4, 0], [math.inf, 0]]
    assert x.tolist() == [[1, 0], [2, 0], [math.inf, 0]]


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
    assert pytest.approx(float(F.selu(torch.tensor(-1e3, dtype=DOUBLE)))) == ALPHA
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


@pytest.mark.integration
@pytest.mark.parametrize(
    ("target", "spec", "asked"),
    [
        (torch.nn.Dropout2d, None, "shared-mask"),
        (Tokens, "tokens", "fixed-count"),
        (F.scaled_dot_product_attention, None, "kept-scale"),
    ],
)
def test_a_right_one_passes_and_is_asked_what_its_kind_is_asked(run_checks, target, spec, asked):
    report = run_checks(resolve(target, spec=spec), only=SHORT)
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


@pytest.mark.integration
def test_an_honest_eight_bit_kernel_passes_as_such_and_fails_as_exact(run_checks):
    def eight_bits(x, p, training):
        if not 0 <= p <= 1:
            raise ValueError(f"p={p} is not a probability")
        if not training:
            return x
        drop = torch.randint(0, 256, x.shape, device=x.device) < round(p * 256)
        return x.masked_fill(drop, 0) * (1 / (1 - p) if p < 1 else 0)

    assert run_checks(resolve(eight_bits, spec="plain:quantised=256"), only=SHORT).passed
    exact = run_checks(resolve(eight_bits), only=with_needed("drop-rate"))
    assert exact.findings[0].name == "drop-rate"


@pytest.mark.parametrize("change", [lambda y: y[:, :1], lambda y: [y]], ids=["shape", "type"])
def test_weights_whose_layer_gives_something_else(change):
    def dropped_weights(p):
        drop = td.nn.WeightDrop(torch.nn.Linear(6, 4), p, "weight")
        drop.register_forward_hook(lambda module, args, y: change(y))
        return drop

    report = check_subject(resolve(dropped_weights, spec="weights"), only={"output-shape"})
    (finding,) = report.findings
    assert "expected an output of shape (6, 4), got " in finding.message


@pytest.mark.parametrize("made", [lambda y: y, lambda y: (y, 7), lambda y: [y, 7, 8]])
@pytest.mark.parametrize("count", [1, 300, (1 << 14) + 5])
def test_an_attention_may_return_its_weights_too(made, count):
    def attention(query, key, value, dropout_p=0.0, training=True):
        return made((query @ key.mT).softmax(-1) @ value)

    x = torch.rand(count) + 0.5
    assert torch.equal(resolve(attention, spec="attention").build(0.5).call(x, True), x)


@pytest.mark.parametrize("change", [lambda y: y[:, :1], lambda y: None, lambda y: ()])
def test_an_attention_that_gives_something_else(change):
    def attention(query, key, value, dropout_p=0.0):
        return change(F.scaled_dot_product_attention(query, key, value, dropout_p=dropout_p))

    report = check_subject(resolve(attention, spec="attention"), only={"output-shape"})
    (finding,) = report.findings
    assert "expected an output of shape (12, 2, 4, 128), got " in finding.message


@pytest.mark.integration
def test_a_compiled_and_a_checkpointed_target_are_verified_as_such():
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


@pytest.mark.integration
def test_a_fused_target_without_a_bias_is_verified_without(run_checks):
    def add(x, residual, p, training):
        return residual + F.dropout(x, p, training)

    def drops_both(x, residual, p, training):
        return F.dropout(x + residual, p, training)

    assert run_checks(resolve(add, spec="dropout-add"), only=SHORT).passed
    found = run_checks(resolve(drops_both, spec="dropout-add"), only=SHORT).findings
    assert [f.name for f in found if f.severity == "error"] == ["fused-composition"]


@pytest.mark.parametrize(
    ("dtype", "ulp"),
    [(torch.float32, 2.0**-22), (torch.float16, 2.0**-9), (torch.float64, 2.0**-52)],
)
def test_a_state_between_two_may_be_three_ulps_of_its_terms_off(dtype, ulp):
    def is_expected(new, old, y, p):
        return expected(*(torch.tensor([v], dtype=dtype) for v in (new, old, y)), p).item()

    # The terms are 0 and 2, of which float64 takes half: p is exact there.
    for off, near in (
        (0.0, True),
        (3 * ulp, True),
        (-3 * ulp, True),
        (4 * ulp, False),
        (1.0, False),
    ):
        assert is_expected(2.0, 0.0, 1.0 + off, 0.5) is near
    # The terms are 0 and 2, or 1.5 in float64, which have one ulp.
    assert is_expected(2.0, 0.0, 1.5 + 3 * ulp, 0.25)
    assert not is_expected(2.0, 0.0, 1.5 + 4 * ulp, 0.25)
    assert is_expected(1.0, 5.0, 2.0, 0.25)
    assert not is_expected(5.0, 1.0, 2.0, 0.25)
    for value in (torch.inf, -torch.inf, torch.nan):
        assert is_expected(value, 0.0, value, 0.5)
        assert not is_expected(value, 0.0, 1.0, 0.5)


# The parts of a view


DOUBLE = torch.float64
P_INSIDE = [0.25, 0.5]


def decoded(effect, x, y, p):
    """What is read, and the gradient that each output gets of an incoming one of 1."""
    y = torch.tensor(y, dtype=DOUBLE, requires_grad=True)
    read = effect.decode(torch.tensor(x, dtype=DOUBLE), y, p)
    read.sum().backward()
    return read.tolist(), y.grad.tolist()


EFFECTS = [Scaled(), Scaled(unscaled=True), Alpha(), Gaussian(), Added(), AnyScale()]


@pytest.mark.parametrize("effect", EFFECTS, ids=lambda effect: type(effect).__name__)
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_where_nothing_is_random_nothing_is_read(effect, p):
    y = torch.tensor([3.0, 0.0])
    assert effect.decode(torch.ones(2), y, p) is y


def test_a_dropout_that_scales_is_read_as_it_is():
    y = torch.tensor([3.0, 0.0])
    assert Scaled().decode(torch.ones(2), y, 0.5) is y


@pytest.mark.parametrize("p", P_INSIDE)
@pytest.mark.parametrize("scale", ["one", "inverse"])
def test_the_scale_may_be_one_or_the_inverse_where_both_are_allowed(p, scale):
    x = [1.0, -1.5, 2.0]
    factor = 1 if scale == "one" else 1 / (1 - p)
    y = [factor * 1.0, 0.0, factor * 2.0]
    want = [1 / (1 - p), 0, 2 / (1 - p)], [pytest.approx(1 / factor / (1 - p))] * 3
    assert decoded(Scaled(unscaled=True), x, y, p) == want
    # Where one alone is allowed, the other cannot be read.
    read, _ = decoded(Scaled(unscaled=True, inverse=False), x, y, p)
    assert (read == want[0]) is (scale == "one")
    # What is nearly 0, or another number, was not dropped.
    read, _ = decoded(Scaled(unscaled=True, inverse=False), [1.0, 3.0], [1e-20, 1.0], p)
    assert read == [1e-20 / (1 - p), 1 / (1 - p)]


def test_what_fits_two_effects_is_read_as_the_first():
    y = torch.zeros(2, dtype=DOUBLE, requires_grad=True)
    decode_affine(torch.ones(2), y, 0.5, [(2.0, 0.0, 0.0), (1.0, 0.0, 0.0)]).sum().backward()
    assert y.grad.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("p", "rate", "is_read"),
    [
        (0.1, 0.1, True),
        (0.1, 25 / 256, True),
        (0.1, 26 / 256, True),
        (0.1, 27 / 256, False),
        (0.999, 255 / 256, True),
        (0.999, 254 / 256, False),
    ],
)
def test_the_scale_may_be_that_of_the_p_that_is_held(p, rate, is_read):
    x = [1.0, 1.5]
    read, _ = decoded(Scaled(bits=8), x, [1 / (1 - rate), 1.5 / (1 - rate)], p)
    assert (read == [1 / (1 - p), 1.5 / (1 - p)]) is is_read


@pytest.mark.parametrize(
    ("got", "is_kept"),
    [
        ((math.inf, -math.inf, math.nan), (True, True, False)),
        ((-math.inf, math.inf, math.nan), (False, False, False)),
        ((2.0, 2.0, 2.0), (False, False, False)),
    ],
)
def test_an_infinite_value_is_kept_where_it_comes_out(got, is_kept):
    given = torch.tensor([math.inf, -math.inf, math.nan], dtype=DOUBLE)
    near = _near(torch.tensor(got, dtype=DOUBLE), given, 2.0, 0.0, 0.5, torch.float32)
    assert tuple(near.tolist()) == is_kept
    # A finite value next to an infinite one has its tolerance.
    given[2] = 1.0
    off = torch.tensor([math.inf, 0.0, 2.0 + 2.0**-22], dtype=DOUBLE)
    assert _near(off, given, 2.0, 0.0, 0.5, torch.float32).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("dtype", "slack"),
    [(DOUBLE, 3 * 2.0**-51), (torch.float32, 3 * 2.0**-22 + 3 * 2.0**-24 / 0.5)],
)
def test_a_difference_is_rounded_as_its_terms(dtype, slack):
    assert _slack(3.0, 0.5, dtype) == slack


@pytest.mark.parametrize("p", P_INSIDE)
def test_noise_is_read_by_its_quantile(p):
    x = [1.0, -2.0, 1.0, 1.0]
    quantile = float(Gaussian().of(p).ppf(p))
    noise = [quantile + 0.1, quantile + 1.0, quantile - 0.1, quantile]
    read, grad = decoded(Gaussian(), x, [a * b for a, b in zip(x, noise, strict=True)], p)
    assert read == [1 / (1 - p), -2 / (1 - p), 0, 0]
    assert grad == [pytest.approx(1 / ((1 - p) * n)) for n in noise[:2]] + [0, 0]
    quantile = float(Added().of(p).ppf(p))
    read, grad = decoded(Added(), x[:2], [1 + quantile + 0.1, -2 + quantile - 0.1], p)
    assert read == [1 / (1 - p), 0]
    assert grad == [1 / (1 - p), 0]
    read, _ = decoded(Gaussian(), [1.0, 1.0], [math.nan, 9.0], p)
    assert math.isnan(read[0])
    assert read[1] == 1 / (1 - p)


@pytest.mark.parametrize(
    ("noise", "p", "law", "size"),
    [
        (Gaussian(), 0.8, Normal(1.0, 2.0), 3.0),
        (Uniform(), 0.3, probability.Uniform(0.7, 1.3), 1.3),
        (Added(), 0.3, Normal(0.0, 0.3), 2.3),
        (Relaxed(), 0.75, None, 4.0),
    ],
)
def test_the_law_of_a_noise_and_the_size_of_its_terms(noise, p, law, size):
    assert noise.size(p) == pytest.approx(size)
    if law is not None:
        assert vars(noise.of(p)) == pytest.approx(vars(law))


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_law_of_a_relaxed_mask(temperature):
    p, law = 0.3, Relaxed(temperature=temperature).of(0.3)
    assert law.ppf(p) == pytest.approx(0.5 / (1 - p))
    u = np.array([0.3, 0.5, 0.9])
    z = expit((logit(p) + logit(u)) / temperature)
    assert law.cdf((1 - z) / (1 - p)) == pytest.approx(1 - u)
    assert law.ppf(1 - u) == pytest.approx((1 - z) / (1 - p))
    assert law.cdf(np.array([-1.0, 0.0, 1 / (1 - p), 99.0])).tolist() == [0, 0, 1, 1]
    assert Relaxed().temperature == 0.1


class Flat(Noise):
    """Uniform noise of terms of any size."""

    def of(self, p):
        return probability.Uniform(0.0, 1.0)

    def size(self, p):
        return p


@pytest.mark.parametrize(("size", "found"), [(209.0, [0.5]), (210.0, [])])
def test_a_quantile_is_resolved_where_rounding_decides_less_than_one_in_ten_thousand(size, found):
    # Four units of 2**-24 on both sides: 8 * 2**-24 * 209.7 is 1e-4. At an end it is one side.
    assert Flat().resolved(size, [0.5]) == found
    assert Flat().resolved(size, [0.0, 0.5, 1.0]) == [0.0, *found, 1.0]


def test_a_scale_that_the_call_chose_is_read():
    read, grad = decoded(AnyScale(), [1.0, -2.0, 3.0, 1.0], [5.0, -10.0, 0.0, math.nan], 0.25)
    assert read[:3] == [1 / 0.75, -2 / 0.75, 0]
    assert math.isnan(read[3])
    assert grad[:3] == [pytest.approx(0.2 / 0.75)] * 2 + [pytest.approx(1 / 0.75)]


@pytest.mark.parametrize(
    ("pattern", "draws", "channels", "shape"),
    [
        ("n c * *", 128, None, (2, 64, 2, 3)),
        ("n c * *", 65, None, (1, 65, 2, 3)),
        ("n c * *", 0, None, (0, 3, 2, 3)),
        ("n c * *", 6, 3, (2, 3, 2, 3)),
        ("n c * * *", 6, 2, (3, 2, 2, 3, 2)),
        ("n * c", 12, 4, (3, 2, 4)),
        ("* n c", 12, 4, (2, 3, 4)),
        ("n *", 12, 4, (12, 2)),
        ("n * * * *", 5, None, (5, 2, 3, 2, 2)),
    ],
)
def test_the_shape_of_an_input_with_so_many_draws(pattern, draws, channels, shape):
    spec = Elementwise(pattern=pattern)
    assert spec.shape(draws, channels) == shape
    assert not spec.is_drawn_by_call
    assert spec.per_draw == math.prod(shape) // draws if draws else True


def test_what_draws_once_a_call():
    assert Elementwise(pattern="* *").is_drawn_by_call
    assert not Elementwise().is_drawn_by_call
    batch = SPECS["drop-path-batch"]
    assert batch.with_axes(3).cost == batch.cost == 1 << 13
    assert batch.with_axes(3).per_draw == 12


def test_each_draw_is_read_at_one_of_its_places_in_turn():
    def numbers(x, p, training):
        return torch.arange(x.numel(), dtype=torch.float32).reshape(x.shape)

    built = resolve(numbers, spec="dropout1d").build(0.5)
    # Four rows of two places each.
    assert built.call(torch.ones(2, 2), False).tolist() == [[0, 3], [4, 7]]
    built = resolve(lambda x, p, training: x.cumsum(0), spec="drop-path-batch").build(0.5)
    assert built.call(torch.ones(2, 4), False).shape == (2, 4)


@pytest.mark.parametrize(
    ("make", "is_kept"),
    [
        (lambda x: x.contiguous(), lambda y: y.is_contiguous()),
        (lambda x: x[:1].expand(4, 6), lambda y: y.stride(0) == 0),
        (lambda x: x.T.contiguous().T, lambda y: not y.is_contiguous()),
    ],
)
def test_an_input_is_laid_out_as_x(make, is_kept):
    x = make(torch.rand(4, 6))
    given = SPECS["dropout2d"].spread(x)
    assert given.shape == (4, 6, 2, 3)
    assert torch.equal(given, x[:, :, None, None].expand(4, 6, 2, 3))
    assert is_kept(given)


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (torch.ones(128), (2, 64, 2, 3)),  # 64 channels if nothing says how many
        (torch.ones(2, 32, 2), (64, 2, 2, 3)),
        (torch.ones(4, 0), (0, 3, 2, 3)),
    ],
)
def test_the_channels_of_an_input_are_the_last_axis_of_x(x, shape):
    assert SPECS["dropout2d"].spread(x).shape == shape


def test_a_batch_of_images_stays_in_channels_last():
    x = torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    given = SPECS["dropout2d"].spread(x)
    assert given.is_contiguous(memory_format=torch.channels_last)
    other = SPECS["dropout1d"].spread(x)
    assert other.ndim == 3
    assert not other.is_contiguous()


@pytest.mark.parametrize(
    ("spec", "change", "words"),
    [
        ("dropout1d", lambda y: y[..., :1], r"expected shape \(2, 2, 2\), got \(2, 2, 1\)"),
        ("dropout1d", lambda y: y.to("meta"), r"expected shape \(2, 2, 2\), got \(2, 2, 2\)"),
        ("drop-path-batch", lambda y: y[..., :1], r"expected shape \(2, 3\), got \(2, 1\)"),
        ("drop-path-batch", lambda y: [y], r"expected shape \(2, 3\), got list"),
        ("tokens", lambda y: [[y]], "expected a tensor, got list"),
        ("tokens", lambda y: y[0], r"expected shape \(4, tokens kept, 2\), got \(8, 2\)"),
        ("tokens", lambda y: y[:1], r"expected shape \(4, tokens kept, 2\), got \(1, 8, 2\)"),
        ("tokens", lambda y: y[..., :1], r"expected shape \(4, tokens kept, 2\), got \(4, 8, 1\)"),
        ("tokens", lambda y: torch.cat([y, y[:, :1]], 1), "a token was returned changed, or twice"),
        ("tokens", lambda y: y + 0.25, "a token was returned changed, or twice"),
        ("tokens", lambda y: y - 8, "a token was returned changed, or twice"),
        ("tokens", lambda y: y + 8, "a token was returned changed, or twice"),
        ("tokens", lambda y: [], "expected a tensor, got list"),
        ("n-of-m", lambda y: y[:1], r"expected shape \(4, 4\), got \(1, 4\)"),
        ("n-of-m", lambda y: [y], "expected a tensor, got list"),
        ("drop-block1d", lambda y: y[..., :1], r"of shape \(2, 1, 16\), got \(2, 1, 1\)"),
        ("drop-block1d", lambda y: [y], r"expected a tensor of shape \(2, 1, 16\), got list"),
    ],
)
def test_an_output_that_cannot_be_read_is_a_fault(spec, change, words):
    built = resolve(lambda x, p, training: change(x.clone()), spec=spec).build(0.5)
    with pytest.raises(Fault, match=words):
        built.call(torch.ones(2, 2), True)


def test_the_eval_of_tokens_keeps_all_of_them():
    def target(x, p, training):
        return x if training else x[:, 1:]

    with pytest.raises(Fault, match=r"expected shape \(4, 8, 2\), got \(4, 7, 2\)"):
        resolve(target, spec="tokens").build(0.5).call(torch.ones(2, 2), False)


@pytest.mark.parametrize(
    ("p", "kept"),
    [
        (0.25, (6, 6)), (0.1, (7, 8)), (0.3, (5, 6)), (0.99, (1, 1)), (1.0, (1, 1)), (0.0, (8, 8)),
        # Rounding moves no product by so much.
        (0.25 + 1e-9, (5, 6)), (0.25 - 1e-9, (6, 7)),
    ],
)  # fmt: skip
def test_how_many_of_a_group_are_kept(p, kept):
    spec = SPECS["tokens"]
    assert spec.kept_of(p) == kept
    assert spec.rates(p) == (1 - kept[1] / 8, 1 - kept[0] / 8)


@pytest.mark.parametrize(
    ("p", "group"),
    [
        (0.5, 8), (0.0, 8), (1 / 3, 3), (0.3, 10), (3 / 32, 32), (0.99, 8), (1.0, 8),
        # No group of up to 32 holds it: one of its tokens is dropped, then, if they are not many.
        (0.1234, 9), (0.2345, 8), (2 / 33, 17), (0.03, 34), (0.001234, 256),
    ],
)  # fmt: skip
def test_the_groups_of_an_instance_hold_its_p(p, group):
    found = SPECS["tokens"].holding(p)
    assert (found.group, found.cost) == (group, 256 * group // 8)


def test_the_smallest_groups_are_of_two():
    found = parse("tokens:group=5").holding(0.5)
    assert (found.group, found.cost) == (2, 256 * 2 // 5)


@pytest.mark.parametrize(
    ("spec", "scale", "is_read"),
    [
        ("n-of-m", 1 / 0.7, True),
        ("n-of-m", 4 / 2, True),  # two or three of four are kept
        ("n-of-m", 4 / 3, True),
        ("n-of-m", 1.0, True),
        ("n-of-m", 1 / 0.6, False),
        ("tokens", 1.0, True),
        ("tokens", 1 / 0.7, False),
        ("tokens", 1 / 1.5, False),
    ],
)
def test_the_scale_of_a_fixed_count_may_be_that_of_the_share_that_is_kept(spec, scale, is_read):
    def target(x, p, training):
        y = x.clone()
        (y[..., 0] if spec == "tokens" else y).mul_(scale)
        return y

    x = torch.tensor([1.0, 1.5, -0.75])
    read = resolve(target, spec=spec).build(0.3).call(x, True)
    assert torch.equal(read, (x.double() / 0.7).float()) is is_read
    assert bool((read != 0).all())  # what is 1 by another scale, too


@pytest.mark.parametrize(
    ("spec", "groups"),
    [
        ("tokens:group=3", [[[5, 1], [1, 2], [1, 3]], [[1, 1], [6, 2], [1, 3]]]),
        ("n-of-m", [[5, 1, 1, 1], [1, 6, 1, 1]]),
    ],
)
def test_a_group_has_one_value_among_ones(spec, groups):
    seen = []
    built = resolve(lambda x, p, training: seen.append(x) or x, spec=spec).build(0.5)
    assert built.call(torch.tensor([5.0, 6.0]), False).tolist() == [5, 6]
    assert seen[0].tolist() == groups


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_a_fixed_count_is_read_as_it_is_where_nothing_is_random(p):
    off = 1 + 2.0**-23
    built = resolve(lambda x, p, training: x * off, spec="n-of-m").build(p)
    assert built.call(torch.ones(4), True).tolist() == [off] * 4


def test_a_state_between_two_is_read_from_the_new_one():
    def target(change):
        return resolve(lambda x, old, p, training: change(x, old, training), spec="zoneout")

    x = torch.tensor([1.5, -2.0, 3.0])
    drop = torch.tensor([False, True, False])
    built = target(lambda x, old, training: torch.where(drop, old, x) if training else 0.75 * x)
    assert built.build(0.25).call(x, True).tolist() == [2, 0, 4]
    assert built.build(0.25).call(x, False).tolist() == x.tolist()
    scaled = target(lambda x, old, training: x / 0.75)  # which a state is not
    assert scaled.build(0.25).call(x, True).tolist() == pytest.approx((x / 0.75**2).tolist())
    wrong = target(lambda x, old, training: x)
    assert wrong.build(0.25).call(x, False).tolist() == x.tolist()  # which is not the mean
    for change in (lambda x: x[:1], lambda x: x.to("meta"), lambda x: None):
        other = target(lambda x, old, training, change=change: change(x)).build(0.25)
        y = other.call(x, False)
        assert y is None or y.shape != x.shape or y.device != x.device


class Prefixed(torch.nn.Module):
    """Keeps the first tokens, and half of the others."""

    def __init__(self, p=0.5, num_prefix_tokens=2, keeps=True):
        super().__init__()
        self.p, self.num_prefix_tokens, self.keeps = p, num_prefix_tokens, keeps

    def forward(self, x):
        if not self.training:
            return x
        first = self.num_prefix_tokens if self.keeps else 1
        return torch.cat([x[:, :first], x[:, self.num_prefix_tokens :: 2]], 1)


@pytest.mark.integration
def test_a_prefix_of_tokens_is_kept():
    built = resolve(Prefixed(), spec="tokens").build(0.5)
    x = torch.arange(1.0, 9)
    assert built.call(x, False).tolist() == x.tolist()
    # Place i of group i: every second place is kept.
    assert built.call(x, True).tolist() == [2, 0, 6, 0, 10, 0, 14, 0]
    drops = resolve(Prefixed(keeps=False), spec="tokens").build(0.5)
    with pytest.raises(Fault, match="one of the first 2 tokens, which are to be kept, was dropped"):
        drops.call(x, True)


@pytest.mark.parametrize(
    ("told", "per_side", "first"),
    [
        ("drop-block1d", 2, [0, 8]),
        ("drop-block1d:block=1", 8, [0, 2, 4, 6, 8, 10, 12, 14]),
        ("drop-block1d:block=8", 1, [0]),
        ("drop-block:size=4,block=1", 2, [0, 2, 8, 10]),
        ("drop-block3d", 2, [0, 4, 32, 36, 256, 260, 288, 292]),
    ],
)
def test_no_block_covers_two_places_that_are_read_together(told, per_side, first):
    spec = parse(told)
    assert spec.per_side == per_side
    groups = spec._groups(torch.device("cpu"))
    assert groups[0].tolist() == first
    assert groups.shape == (spec.places // len(first), len(first))
    assert sorted(groups.reshape(-1).tolist()) == list(range(spec.places))


def test_planes_are_read_everywhere():
    seen = []

    def target(x, p, training):
        seen.append((x.reshape(len(x), -1) != 1).nonzero().tolist())
        return x

    built = resolve(target, spec="drop-block1d").build(0.5)
    x = torch.arange(2.0, 7)
    assert built.call(x, False).tolist() == x.tolist()
    # Step 101 through eight groups of two places; there are ones elsewhere.
    assert seen == [[[0, 0], [0, 8], [1, 5], [1, 13], [2, 2]]]


def test_a_large_x_is_split_into_calls():
    def count(spec, x, **options):
        calls = []

        def target(x, p, training):
            calls.append(len(x))
            return x

        found = dataclasses.replace(parse(spec), **options)
        built = resolve(target, spec=found).build(0.5)
        assert torch.equal(built.call(x, False), x)
        return calls

    assert count("drop-block1d", torch.rand(5, 4), part=4) == [4, 4, 2]


def test_a_dropout_add_of_a_number_has_a_bias_of_one():
    def target(x, residual, bias, p, training):
        assert residual.shape == x.shape
        assert bias.shape == (x.shape[-1],)
        return x + bias + residual

    built = resolve(target, spec="dropout-add").build(0.5)
    y = built.call(torch.tensor(3.0), True)
    assert (y.shape, float(y)) == ((), 3.0)
    assert built.call(torch.ones(2, 3, 4), True).shape == (2, 3, 4)
    wide = resolve(lambda x, residual, p, training: x.expand(2), spec="dropout-add").build(0.5)
    assert wide.call(torch.tensor(3.0), True).shape == (2,)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: torch.nn.Linear(3, 2), None),
        (lambda: torch.nn.Embedding(3, 2), None),
        (lambda: torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2)), "got 2"),
        (lambda: torch.nn.LayerNorm(3), "expected a module with one matrix as a parameter, got 0"),
    ],
)
def test_the_matrix_of_a_module_is_read(make, words):
    class Holds(torch.nn.Module):
        def __init__(self, p):
            super().__init__()
            self.p, self.inner = p, make()

        def forward(self, x):
            return self.inner(x)

    built = resolve(Holds, spec="weights").build(0.5)
    x = torch.arange(1.0, 9)
    if words:
        with pytest.raises(Fault, match=words):
            built.call(x, True)
    else:
        assert torch.equal(built.call(x, True), x)


def test_of_several_matrices_the_one_named_weight_is_dropped():
    module = torch.nn.Module()
    module.table = torch.nn.Parameter(torch.zeros(2, 2))
    module.inner_weight = torch.nn.Parameter(torch.zeros(2, 2))
    assert _weight(module)[0] == "inner_weight"
    del module.inner_weight
    module.other = torch.nn.Parameter(torch.zeros(2, 2))
    with pytest.raises(Fault, match="got 2"):
        _weight(module)
    module.weight_raw = torch.nn.Parameter(torch.zeros(2, 3))
    name, weight = _weight(module)
    assert (name, weight.shape) == ("weight_raw", (2, 3))


def test_rows_of_an_embedding_share_a_draw():
    class Mixed(torch.nn.Module):
        def __init__(self, p):
            super().__init__()
            self.p, self.inner = p, torch.nn.Embedding(3, 2)

        def forward(self, x):
            y = self.inner(x)
            return y.index_fill(1, torch.tensor([1]), 0) if self.training else y

    with pytest.raises(Fault, match="elements of one row of the embedding were treated differ"):
        resolve(Mixed, spec="weights").build(0.5).call(torch.ones(3), True)
    with pytest.raises(Fault, match="expected a module with a weight, got a function"):
        resolve(F.dropout, spec="weights").build(0.5).call(torch.ones(3), True)


# What a kind says of itself


@pytest.mark.parametrize(
    ("p", "bits", "expected"),
    [(0.1, 8, (25 / 256, 26 / 256)), (0.25, 8, (0.25, 0.25)), (0.999, 1, (0.5, 1.0))],
)
def test_the_multiples_next_to_p(p, bits, expected):
    assert held(p, bits) == expected
    assert Spec(bits=bits).rates(p) == expected
    assert Spec().rates(p) == (p, p)


def test_the_defaults_of_a_kind_are_those_of_plain_dropout():
    # Some p are not multiples of 2**-8 or of 2**-10, and 1/300 is next to none of 1/256.
    assert PLAIN.grid == (0.001, 1 / 300, 0.1, 0.5, 0.9, 0.999)
    values = {f.name: getattr(PLAIN, f.name) for f in dataclasses.fields(PLAIN)}
    del values["grid"]
    assert values == {
        "name": "plain", "cost": 1, "multiple": 1, "arguments": {}, "inputs": {}, "exempt": {},
        "needs": {}, "parameters": (), "bits": 0, "largest": 2.0, "finite": False, "first": False,
        "notes": (),
    }  # fmt: skip
    assert PLAIN.title == "plain"
    assert not PLAIN.is_drawn_by_call
    assert because("why", "a", "b") == {"a": "why", "b": "why"}


def test_a_kind_of_ones_own_without_a_view_is_called_as_it_is():
    built = resolve(torch.nn.Dropout, spec=Spec("mine", cost=2)).build(0.5)
    x = torch.ones(64)
    assert torch.equal(built.call(x, False), x)
    assert set(built.call(x, True).tolist()) == {0, 2}


def test_another_module_is_seen_through_the_view_of_the_first():
    class Doubles(torch.nn.Module):
        def forward(self, x):
            return 2 * x

    built = resolve(torch.nn.Dropout2d).build(0.5)
    other = built.again(Doubles(), 0.25)
    assert other.p == 0.25
    assert torch.equal(other.call(torch.ones(2, 3), False), torch.full((2, 3), 2.0))
    assert other.raw is other.target
    assert resolve(F.dropout2d).build(0.5).again is None


# Kinds whose p is not any number of [0, 1], or whose draws are costly.
GRIDS = {
    "variational": (0.1, 0.5, 0.9),
    "uniform": (0.1, 0.5, 0.9),
    "gaussian-noise": (0.1, 0.5, 0.9),
    "concrete": (0.05, 0.1, 0.5, 0.9),
    "tokens": (0.125, 0.25, 0.5, 0.75, 0.875),  # of eight
    "n-of-m": (0.25, 0.5, 0.75),  # of four
    "drop-block1d": (0.05, 0.1, 0.25),
    "drop-block": (0.05, 0.1, 0.25),
    "drop-block3d": (0.05, 0.1, 0.25),
}


def test_the_p_of_each_kind():
    assert {n: spec.grid for n, spec in SPECS.items() if spec.grid != PLAIN.grid} == GRIDS


# Other kinds: the elements of a draw, times what reading them costs.
COSTS = {
    **dict.fromkeys(
        ("alpha", "gaussian", "variational", "uniform", "gaussian-noise", "concrete"), 4
    ),
    **{"feature-alpha": 32, "feature-gaussian": 16, "tokens": 256, "n-of-m": 128},
    **{"dropout-add": 2, "zoneout": 2, "weights": 64},
}


def test_a_draw_costs_twice_the_elements_that_share_it():
    for name, spec in SPECS.items():
        scales = isinstance(spec, Elementwise) and type(spec.effect) is Scaled
        if scales and spec.pattern and not spec.is_drawn_by_call:
            assert spec.cost == 2 * spec.per_draw, name
        if name.startswith("drop-block"):
            assert spec.multiple == spec.size**spec.dims
            assert spec.cost == 2 * spec.multiple
    assert SPECS["attention"].cost == 2 * SPECS["attention"].keys
    assert {n: SPECS[n].cost for n in COSTS} == COSTS
    assert {n: s.largest for n, s in SPECS.items() if s.largest != 2} == {
        "alpha": 1.5, "feature-alpha": 1.5
    }  # fmt: skip
    assert {n for n, s in SPECS.items() if s.finite} == {"attention", "weights"}
    assert {n: s.ranks for n, s in SPECS.items() if getattr(s, "ranks", ())} == {
        "drop-path": (4, 2), "drop-path-batch": (4,)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("drop-path", {"mode": "row"}),
        ("drop-path-batch", {"mode": "batch"}),
        ("locked", {"batch_first": True, "time_dim": 1}),
        ("locked-time-first", {"batch_first": False, "time_dim": 0}),
        ("tokens", {"num_prefix_tokens": 0}),
        ("drop-block1d", {"block_size": 7}),
        ("drop-block", {"block_size": 7}),
        ("drop-block3d", {"block_size": 3}),
        ("drop-block:block=9", {"block_size": 9}),
        ("plain", {}),
    ],
)
def test_what_a_kind_passes_to_its_target(name, arguments):
    assert parse(name).arguments == arguments


@pytest.mark.parametrize(
    ("told", "size", "multiple", "cost"),
    [
        ("drop-block:block=16", 16, 256, 512),
        ("drop-block:block=17", 34, 34**2, 2 * 34**2),  # no block is larger than its plane
        ("drop-block1d:size=8", 8, 8, 16),
        ("drop-block3d:size=4", 4, 64, 128),
        ("drop-block3d:block=9", 18, 18**3, 2 * 18**3),
    ],
)
def test_the_size_of_a_plane_follows_from_its_block(told, size, multiple, cost):
    found = parse(told)
    assert (found.size, found.multiple, found.cost) == (size, multiple, cost)


class NMDropout(torch.nn.Module):
    """In the manner of ours."""

    __module__ = "torchdropout.nn"

    def __init__(self, p=0.5, m=4, mode="row", dim=-1):
        super().__init__()
        self.p, self.m, self.mode, self.dim = p, m, mode, dim

    def forward(self, x):
        return x


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (NMDropout(), None),
        (NMDropout(dim=1), None),
        (NMDropout(dim=0), r"Expected `dim` .* to be -1, the last, got dim=0 \(int\)"),
        (NMDropout(mode="all"), r"Expected `mode` .* to be 'row', .* got mode='all' \(str\)"),
        (functools.partial(NMDropout, mode="all"), "got mode='all'"),
        (functools.partial(NMDropout, dim=0), "got dim=0"),
        (NMDropout, None),
    ],
)
def test_a_fixed_count_must_be_of_each_row(thing, words):
    if words is None:
        assert infer(thing).name == "n-of-m"
    else:
        with pytest.raises(ArgumentValueError, match=words):
            infer(thing)


@pytest.mark.parametrize(("value", "group"), [(3, 3), (0, 4), (-1, 4), ("3", 4), (3.0, 4)])
def test_a_number_of_a_kind_is_a_positive_whole_number(value, group):
    assert infer(NMDropout(m=value)).group == group
    # A class has no numbers of its own.
    assert infer(NMDropout).group == 4


def test_an_argument_of_another_type_changes_no_kind(known):
    assert infer(functools.partial(DropPath, scale_by_keep=0)).title == "drop-path"
    assert infer(functools.partial(DropPath, scale_by_keep=True)).title == "drop-path"
    assert infer(functools.partial(LockedDropout, batch_first=True)).title == "locked-time-first"
