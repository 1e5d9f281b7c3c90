"""What docs/contract.md promises of every function, asked of each entry of `variants.FUNCTIONS`."""

import inspect
import math
import warnings

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.checkpoint import checkpoint

import variants
from bad_arguments import faults
from draws import draws_nothing, kept, refused
from oracle import layouts_of, same_bits
from torchdropout import Key, MaskLayout, backends
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, TorchDropoutError
from variants import FUNCTIONS, KEY, seeded

BACKENDS = tuple(dict.fromkeys(("reference", backends.available()[-1])))
pytestmark = [
    pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning"),
    pytest.mark.filterwarnings("ignore:dropout[23]d. Received:UserWarning"),
]


def each(condition=lambda v: True):
    chosen = [name for name, v in FUNCTIONS.items() if condition(v)]
    return pytest.mark.parametrize("name", chosen)


def close(v, found, expected):
    """The bits, or where products round, what the dtype allows."""
    if v.exact:
        return same_bits(found, expected.to(found.dtype))
    eps = torch.finfo(found.dtype).eps
    return torch.allclose(found.double(), expected.double(), rtol=64 * eps, atol=64 * eps)


def undrawn(function, *args, **kwargs):
    """A call that draws nothing, whether it succeeds or not."""
    with draws_nothing():
        return function(*args, **kwargs)


def grads(y, inputs):
    weights = torch.linspace(-1, 2, y.numel(), dtype=torch.float64).view(y.shape).to(y.dtype)
    return torch.autograd.grad(y, inputs, weights)


def test_every_function_has_an_entry():
    public = {name for name, f in vars(F).items() if inspect.isfunction(f)}
    assert {v.function.__name__ for v in FUNCTIONS.values()} | variants.OTHERS == public


class TestDefinition:
    @pytest.mark.parametrize("backend", BACKENDS)
    @each()
    def test_in_every_dtype_and_memory_layout(self, name, backend):
        v = FUNCTIONS[name]
        for dtype in v.dtypes:
            if name == "embedding_dropout" and dtype == torch.complex32:
                continue  # torch looks up none
            x, *rest = v.tensors(dtype)
            expected = v.defined([x, *rest])
            with backends.use(backend):
                for laid_out in layouts_of(x).values():
                    y = undrawn(v, laid_out, *rest, key=KEY)
                    assert y.dtype == dtype
                    assert close(v, y, expected), dtype
                    if y.shape == x.shape and len(rest) == 0:
                        assert y.stride() == torch.empty_like(laid_out).stride()

    @each(lambda v: v.p is not None)
    def test_of_any_p(self, name):
        v = FUNCTIONS[name]
        tensors = v.tensors()
        copies = [t.clone() for t in tensors]
        for p in (1e-9, 0.01, 0.1, 0.5, 0.9, 0.999, 1 - 2.0**-20):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                y = v(*tensors, key=KEY, p=p)
            assert close(v, y, v.defined(tensors, p=p)), p
        assert all(map(torch.equal, tensors, copies))
        assert [t._version for t in tensors] == [0] * len(tensors)

    @each(lambda v: v.takes("broadcast_dims"))
    def test_shared_draws(self, name):
        """Each dimension whose draws can be shared, one at a time and the first with the last."""
        v = FUNCTIONS[name]
        tensors = v.tensors(torch.float64)
        ndim = len(v.layout().strides)
        own = {-1} if "counted" in v.definition else {1} if "tokens" in v.definition else set()
        own |= {*range(ndim - v.definition[1], ndim)} if "block" in str(v.definition[0]) else set()
        if "counted" in v.definition:
            own = {v.definition[1] % ndim}
        for dims in [*((d,) for d in range(ndim)), (-ndim, -1)]:
            if {d % ndim for d in dims} & {*v.shared} or (ndim == 1 and len(dims) == 2):
                continue
            if own & {d % ndim for d in dims}:
                with refused(ArgumentValueError, "`broadcast_dims`"):
                    v(*tensors, broadcast_dims=dims)
                continue
            y = v(*tensors, key=KEY, broadcast_dims=dims)
            assert close(v, y, v.defined(tensors, v.layout(dims)))

    @each(lambda v: v.takes("layout"))
    def test_a_micro_batch_and_any_indices(self, name):
        """The samples from the second on, and indices that lie apart beyond 2**33."""
        v = FUNCTIONS[name]
        tensors = v.tensors(torch.float64)
        layout = v.layout()
        if name not in ("embedding_dropout", "n_m_dropout, the first"):
            lead = (0,) * v.samples
            size = v.shapes[0][0]
            parts = [t[1:] if t.shape[0] == size and t.ndim > 1 else t for t in tensors]
            if "layer" in v.definition[0]:
                parts = [tensors[0][1:], *tensors[1:]]
            whole = v(*tensors, key=KEY).narrow(v.samples, 1, size - 1)
            part = v(*parts, key=KEY, layout=layout.at((*lead, 1)))
            torch.testing.assert_close(part, whole, rtol=1e-12, atol=1e-13)
        if name == "embedding_dropout":
            return  # its layout is one of rows
        apart = MaskLayout(2**33 - 5, tuple(9 * s for s in layout.strides))
        y = v(*tensors, key=KEY, layout=apart)
        assert close(v, y, v.defined(tensors, apart))

    @each(lambda v: v.p is not None and v.exact)
    def test_a_tensor_of_one_number_is_that_number(self, name):
        v = FUNCTIONS[name]
        if v.p != "p":
            pytest.skip("it is not a probability")
        tensors, p = v.tensors(), torch.tensor(0.25, dtype=torch.float64)
        assert same_bits(v(*tensors, key=KEY, p=p), v(*tensors, key=KEY, p=0.25))
        assert same_bits(v(*tensors, key=KEY, p=torch.tensor(1) * 0), v(*tensors, p=0))

    @each()
    def test_empty_and_without_dimensions(self, name):
        v = FUNCTIONS[name]
        tensors = [t.requires_grad_() for t in v.tensors()]
        size = len(tensors[0])
        if name in ("embedding_dropout", "n_m_dropout, the first"):
            pytest.skip("its first dimension is not one of samples")
        none = [t[:0] if len(t) == size and t.ndim > 1 else t for t in tensors]
        if "layer" in v.definition[0]:
            none = [tensors[0][:0], *tensors[1:]]
        y = v(*none)
        assert y.shape[v.samples] == 0
        y.sum().backward()
        assert not tensors[0].grad.any()
        if v.definition[0] in ("dropped", "alpha", "gaussian_noise", "uniform", "zoneout"):
            scalars = [torch.tensor(0.7) for _ in tensors]
            try:
                y = v(*scalars, key=KEY)
            except TorchDropoutError:
                return
            assert close(v, y, v.defined(scalars, MaskLayout.of(())))


class TestNothingDropped:
    @each()
    def test_eval_and_zero_draw_nothing(self, name):
        v = FUNCTIONS[name]
        tensors = v.tensors(torch.float64)
        calls = [{"training": False}]
        if v.p is not None and name != "zoneout":
            calls += [{"p": 0.0}, {"p": 0}, {"p": 0.0, "training": False}]
        if v.takes("inplace"):
            calls += [call | {"inplace": True} for call in calls]
        for given in calls:
            y = undrawn(v, *tensors, **given)
            if v.rest is None:
                assert y is tensors[0]
            else:
                torch.testing.assert_close(y, v.rest(*tensors), rtol=1e-14, atol=1e-14)

    @each(lambda v: v.one is not None and v.p is not None)
    def test_one(self, name):
        """What is dropped leaves no trace, whatever it was, in the result and in the gradient."""
        v = FUNCTIONS[name]
        tensors = v.tensors(torch.float64, grad=True)
        expected = v.one(*tensors)
        if name != "scaled_dot_product_attention":
            with torch.no_grad():
                tensors[0][0] = math.inf
                tensors[0][-1] = math.nan
        y = v(*tensors, p=1.0)
        assert torch.equal(y, expected.nan_to_num())
        (gradient,) = torch.autograd.grad(y.sum(), tensors[0])
        assert torch.equal(gradient, torch.zeros_like(gradient))

    @each(lambda v: v.linear)
    def test_what_is_dropped_is_zero_whatever_it_was(self, name):
        v = FUNCTIONS[name]
        if "noise" in str(v.definition) or v.one is None:
            pytest.skip("nothing becomes zero")
        x = v.tensors()[0]
        dropped = v(torch.ones_like(x), key=KEY) == 0
        for value in (math.inf, -math.inf, math.nan, -1.0):
            y = v(torch.full_like(x, value), key=KEY)[dropped]
            assert same_bits(y, torch.zeros_like(y))
        assert dropped.any() or name == "drop_path, a batch"


class TestRandomness:
    @each()
    def test_a_call_draws_one_key(self, name):
        """From torch's generator, or from the one that is given; a key draws nothing."""
        v = FUNCTIONS[name]
        tensors = v.tensors()
        y = seeded(v, *tensors)
        after = torch.get_rng_state()
        key = seeded(Key.draw)
        assert torch.equal(torch.get_rng_state(), after)
        assert torch.equal(y, undrawn(v, *tensors, key=key))
        assert any(not torch.equal(y, v(*tensors)) for _ in range(9))
        generators = [torch.Generator().manual_seed(3) for _ in range(2)]
        assert torch.equal(undrawn(v, *tensors, generator=generators[0]), y)
        Key.draw(generators[1])
        assert torch.equal(generators[0].get_state(), generators[1].get_state())
        with_grad = seeded(v, *(t.requires_grad_() for t in tensors))
        torch.testing.assert_close(with_grad.detach(), y)
        assert torch.equal(torch.get_rng_state(), after)

    @each()
    def test_no_memory_draws_nothing(self, name):
        """A tensor whose copy no machine has the memory for: its bytes exceed the addresses."""
        v = FUNCTIONS[name]
        x, *rest = v.tensors()
        if (rest and v.drawn is not None) or name == "embedding_dropout":
            pytest.skip("products of such tensors take for ever")
        wide = [t[..., :1].expand(*t.shape[:-1], 2**46) for t in (x, *rest)]
        if "counted" in v.definition and v.definition[1] == -1:
            wide = [x.mT[..., :1].expand(*x.mT.shape[:-1], 2**46).mT]
        generator = torch.Generator()
        for source in ({}, {"generator": generator}):
            words = r"memory|alloc|storage|overflow"
            with draws_nothing(generator), refused(RuntimeError, words):
                v(*wide, **source)


class TestGradients:
    @each()
    def test_of_both_orders_and_modes(self, name):
        v = FUNCTIONS[name]
        inputs = v.tensors(torch.float64, grad=True)

        def function(*inputs):
            return v(*inputs, key=KEY)

        both = {"check_forward_ad": True, "check_batched_grad": True}
        if name in ("embedding_dropout", "scaled_dot_product_attention"):
            both = {}  # torch's look-up and softmax are outside of the function
        assert torch.autograd.gradcheck(function, inputs, fast_mode=True, **both)
        assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)
        for number in range(len(inputs)) if len(inputs) > 1 else ():
            given = [t.detach().requires_grad_(n == number) for n, t in enumerate(inputs)]
            forward = {"check_forward_ad": bool(both)}
            assert torch.autograd.gradcheck(function, given, fast_mode=True, **forward)

    @pytest.mark.parametrize("backend", BACKENDS)
    @each(lambda v: v.linear and v.exact)
    def test_the_gradient_is_the_map_of_the_gradient(self, name, backend):
        v = FUNCTIONS[name]
        for dtype in v.dtypes:
            x = v.tensors(dtype, grad=True)[0]
            incoming = v.tensors(dtype)[0].flip(0)
            with backends.use(backend):
                y = v(x, key=KEY)
                (gradient,) = torch.autograd.grad(y, x, incoming)
            assert same_bits(gradient, v.defined([incoming])), dtype

    @each(lambda v: not v.keeps)
    def test_only_the_key_is_kept(self, name):
        v = FUNCTIONS[name]
        for backend in BACKENDS:
            with backends.use(backend), kept() as tensors:
                v(*v.tensors(grad=True))
            assert sum(t.nbytes for t in tensors) <= 16

    @pytest.mark.parametrize("use_reentrant", [True, False])
    @each()
    def test_a_checkpoint_draws_the_same_again(self, name, use_reentrant):
        v = FUNCTIONS[name]

        def function(*inputs):
            return v(*(t * 1 for t in inputs)).sin()

        found = []
        for run in (function, lambda *t: checkpoint(function, *t, use_reentrant=use_reentrant)):
            inputs = v.tensors(grad=True)
            y = seeded(run, *inputs)
            y.sum().backward()
            found.append([y.detach(), *(t.grad for t in inputs), torch.rand(1)])
        assert all(map(torch.equal, *found))


class TestWriting:
    @pytest.mark.parametrize("backend", BACKENDS)
    @each(lambda v: v.takes("out"))
    def test_into_out_of_each_layout(self, name, backend):
        v = FUNCTIONS[name]
        for dtype in v.dtypes:
            x = v.tensors(dtype)[0]
            expected = v.defined([x])
            layouts = [*layouts_of(x).values()]
            for laid_out, like in zip(layouts, layouts[::-1], strict=True):
                out = torch.full_like(like, math.nan)
                version = out._version
                before = laid_out.clone()
                with backends.use(backend):
                    assert undrawn(v, laid_out, key=KEY, out=out) is out
                assert close(v, out, expected)
                assert out._version > version
                assert same_bits(laid_out, before)
            assert v(x, key=KEY, out=x) is x
            assert close(v, x, expected)
        x = v.tensors()[0]
        for given in ({"training": False}, {"p": 0.0}):
            out = torch.full_like(x, 7)
            assert undrawn(v, x, out=out, **given) is out
            assert same_bits(out, x)
            assert out._version > 0

    @pytest.mark.parametrize("source", ["drawn", "generator"])
    @each(lambda v: v.takes("out"))
    def test_into_out_a_key_is_drawn_as_without(self, name, source):
        v = FUNCTIONS[name]
        x = v.tensors()[0]

        def call(**given):
            generator = torch.Generator().manual_seed(4) if source == "generator" else None
            y = seeded(v, x.clone(), generator=generator, **given)
            return y, torch.get_rng_state()

        for given in ({"out": torch.empty_like(x)}, *([{"inplace": True}] * v.takes("inplace"))):
            assert all(map(torch.equal, call(**given), call()))

    @each(lambda v: v.takes("out"))
    def test_out_where_a_gradient_is_required(self, name):
        v = FUNCTIONS[name]
        x = v.tensors(grad=True)[0]
        out, words = torch.full_like(x, 7, requires_grad=False), "and `input` requires one"
        for training in (True, False):
            for target in (out, x):
                with refused(ArgumentValueError, words):
                    v(x, training=training, out=target)
        assert bool((out == 7).all())
        with torch.no_grad():
            assert v(x, key=KEY, out=out) is out
            assert same_bits(out, v(x, key=KEY))

    @each(lambda v: v.takes("inplace"))
    def test_in_place(self, name):
        v = FUNCTIONS[name]
        for dtype in v.dtypes:
            for x in layouts_of(v.tensors(dtype)[0]).values():
                expected, version = v.defined([x]), x._version
                assert v(x, key=KEY, inplace=True) is x
                assert close(v, x, expected)
                assert x._version == version + 1
        leaf = v.tensors(torch.float64, grad=True)[0]
        written, fresh = (v(leaf * 2, key=KEY, inplace=write) for write in (True, False))
        assert torch.equal(written, fresh)
        assert torch.equal(grads(written, leaf)[0], grads(fresh, leaf)[0])
        with torch.no_grad():
            assert v(leaf, key=KEY, inplace=True) is leaf

    @each(lambda v: v.takes("inplace"))
    def test_what_torch_refuses_to_write_stays(self, name):
        v = FUNCTIONS[name]
        x = v.tensors()[0]
        leaf = x.clone().requires_grad_()
        with torch.inference_mode():
            frozen = x.clone()
        of_many = torch.stack([leaf, leaf]).unbind()[0]  # once it had drawn before torch refused
        for target in (leaf, leaf[1:], x[:1].expand_as(x), frozen, of_many):
            values, version = target.detach().clone(), None if target is frozen else target._version
            with refused(RuntimeError):
                v(target, inplace=True)
            assert torch.equal(target.detach(), values)
            assert target is frozen or target._version == version

    @each(lambda v: not v.takes("out"))
    def test_there_is_no_out(self, name):
        v = FUNCTIONS[name]
        for extra in ({"out": torch.ones(3)}, {"inplace": True}):
            with refused(TypeError, "unexpected keyword argument"):
                v(*v.tensors(), **extra)


class FakeCudaGenerator(torch.Generator):
    device = torch.device("cuda")


def reversed_on_its_memory(x):
    return x.flatten().view(x.shape[::-1]).permute(*reversed(range(x.ndim)))


GENERATOR, ELSEWHERE = torch.Generator(), FakeCudaGenerator()
TYPE, VALUE = ArgumentTypeError, ArgumentValueError
# What is given, the error, and what it says, of an argument that a variant may take.
REFUSED = {
    "p above one": ({"p": 1.5}, VALUE, r"in \[0, 1\)?\]?.*got \w+=1.5 \(float\)"),
    "p nan": ({"p": math.nan}, VALUE, r"got \w+=nan \(float\)"),
    "p below zero": ({"p": -1}, VALUE, r"got \w+=-1 \(int\)"),
    "p of a word": ({"p": "0.1"}, TYPE, r"to be a number.*got \w+='0.1' \(str\)"),
    "p a bool": ({"p": True}, TYPE, r"got \w+=True \(bool\)"),
    "p nothing": ({"p": [0.5]}, TYPE, r"got \w+=\[0.5\] \(list\)"),
    "training": ({"training": 1}, TYPE, r"`training` to be a bool, got training=1 \(int\)"),
    "inplace": ({"inplace": "y"}, TYPE, r"`inplace` to be a bool, got inplace='y'"),
    "scale_by_keep": ({"scale_by_keep": 1}, TYPE, r"`scale_by_keep` to be a bool"),
    "mode": ({"mode": "rows"}, VALUE, "`mode` to be 'row' or 'batch', got mode='rows'"),
    "key": ({"key": 3}, TYPE, r"key` to be a torchdropout.Key, .*, got \w*key=3 \(int\)"),
    "key and generator": ({"key": KEY, "generator": GENERATOR}, VALUE, "or `generator`, not both"),
    "generator": ({"generator": 3}, TYPE, r"`generator` to be a torch.Generator, got generator=3"),
    "generator elsewhere": ({"generator": ELSEWHERE}, VALUE, "`generator` .* a generator on cuda"),
    "layout": ({"layout": (3, 1)}, TYPE, r"`layout` to be a torchdropout.MaskLayout, got layout="),
    "layout of another rank": ({"layout": MaskLayout(0, (1,) * 9)}, VALUE, "`layout`"),
    "layout beyond": ({"layout": (2**64 - 2, 1)}, VALUE, r"lie in \[0, 2\*\*64\)"),
    "layout below": ({"layout": (1, -1)}, VALUE, r"lie in \[0, 2\*\*64\), not from -"),
    "layout and dims": ({"layout": "own", "broadcast_dims": (0,)}, VALUE, "layout` or .* not both"),
    "dims twice": ({"broadcast_dims": (0, 0)}, VALUE, "`broadcast_dims` to be .*once"),
    "dims too large": ({"broadcast_dims": (9,)}, VALUE, "`broadcast_dims` to be dimensions in"),
    "dims no sequence": ({"broadcast_dims": 1}, TYPE, "`broadcast_dims` to be a sequence of dim"),
    "dims no integers": ({"broadcast_dims": (0.0,)}, TYPE, "`broadcast_dims`"),
    "out a list": ({"out": [1.0]}, TYPE, r"`out` to be a tensor, got out=\[1.0\] \(list\)"),
    "out of another dtype": ({"out": lambda x: x.half()}, TYPE, "out` .* torch.float32, got"),
    "out of another shape": ({"out": lambda x: x[1:].clone()}, VALUE, "`out` to be of the input's"),
    "out on meta": ({"out": lambda x: x.to("meta")}, VALUE, "out` .* device, cpu, and not on meta"),
    "out sparse": ({"out": lambda x: x.to_sparse()}, VALUE, "`out` to be of the input's layout"),
    "out expanded": ({"out": lambda x: x.mean().expand(x.shape)}, VALUE, "`out` .* own place"),
    "out overlapping": ({"out": reversed_on_its_memory}, VALUE, "`out` .* memory separate from"),
    "out with a gradient": ({"out": lambda x: x.clone().requires_grad_()}, VALUE, "`out` requires"),
    "out and inplace": ({"out": torch.empty_like, "inplace": True}, VALUE, "`out` or `inplace"),
}
PAIRS = [
    (name, case)
    for name, v in FUNCTIONS.items()
    for case, (given, *_) in REFUSED.items()
    if all(v.p if a == "p" else a == "key" or v.takes(a) for a in given)
]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_refusals_say_what_was_expected_draw_nothing_and_write_nothing(name, training):
    v = FUNCTIONS[name]
    layer_at_rest = not training and "layer" in v.definition[0]  # which has no draws to lay out
    for case in [case for other, case in PAIRS if other == name]:
        given, error, words = REFUSED[case]
        if (v.p, case) == ("sigma", "p above one") or (layer_at_rest and "layout" in case):
            continue
        if name == "embedding_dropout" and case in ("layout beyond", "layout below"):
            continue  # its layout is one of rows
        if (name, case) == ("scaled_dot_product_attention", "p nothing"):
            words = "dropout_p"
        tensors = v.tensors()
        if case == "training" and name == "scaled_dot_product_attention":
            continue
        values = {k: f(tensors[0]) if callable(f) else f for k, f in given.items()}
        values = {k: v.layout() if x == "own" else x for k, x in values.items()}
        if case in ("layout beyond", "layout below"):
            base, stride = values["layout"]
            values["layout"] = MaskLayout(base, (stride,) * len(v.layout().strides))
        before = [t.clone() for t in tensors]
        own = {} if "training" in values else {"training": training}
        if v.key_name != "key" and not training and "p" in values:
            continue
        with refused(error, words) as raised:
            v(*tensors, **own | values)
        assert isinstance(raised.value, TorchDropoutError), case
        assert all(map(torch.equal, tensors, before)), case
        assert [t._version for t in tensors] == [0] * len(tensors), case


@pytest.mark.parametrize("training", [True, False])
@each()
def test_inputs_that_are_refused(name, training):
    v = FUNCTIONS[name]
    x, *rest = v.tensors()
    nested = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)], layout=torch.jagged)
    others = [[1.0], x.long(), x.bool(), x.to(torch.float8_e5m2)]
    others += [] if v.complex_ok or name == "embedding_dropout" else [x.cfloat()]
    others += [x.to_sparse(), nested] if training and not v.nested_ok else []
    for bad in others:
        with refused(TorchDropoutError, r"^.*Expected.*got "):
            v(bad, *rest, training=training)
    for number, t in enumerate(rest, 1):
        for bad in (1.0, t.long(), t.to("meta"), t.double(), t.flatten()[:-1]):
            tensors = [x, *rest]
            tensors[number] = bad
            learned = name in ("concrete_dropout", "variational_dropout")
            if learned and getattr(bad, "dtype", None) == torch.float64:
                continue  # a parameter may be of another dtype
            with refused(TorchDropoutError, r"Expected.*got "):
                v(*tensors, training=training)


OF_ROWS = {F.dropout, F.alpha_dropout, F.drop_path, F.drop_connect, F.n_m_dropout, F.column_dropout}
OF_ROWS |= {F.gaussian_dropout, F.gaussian_noise, F.uniform_dropout}
OF_ROWS |= {F.concrete_dropout, F.variational_dropout}


def _named():
    """By function: keyword arguments that it accepts."""
    found = {}
    for v in FUNCTIONS.values():
        names = list(inspect.signature(v.function).parameters)
        given = dict(v.options) | ({v.p: v.amount} if v.p else {})
        given |= {"training": True} if "training" in names else {}
        tensors = v.tensors()
        if v.function in OF_ROWS:  # the sizes of most values
            tensors = [torch.ones(4, 4), *(torch.ones(1) for _ in tensors[1:])]
        good = dict(zip(names, tensors, strict=False))
        if v.function is F.zoneout:
            good = {"new": torch.ones(4, 4), "old": torch.ones(4, 4)}
        elif v.function is F.dropout_add:
            good = {"input": torch.ones(4, 4), "residual": torch.ones(4, 4), "bias": torch.ones(4)}
        elif v.function is F.embedding_dropout:
            good = {"input": torch.tensor([0, 1]), "weight": torch.ones(3, 4)}
        elif v.function is F.scaled_dot_product_attention:
            good["attn_mask"] = torch.ones(5, 6, dtype=torch.bool)
        found.setdefault(v.function, good | given)
    found[F.keep_mask] = {"shape": (4, 4), "p": 0.5}
    ones = torch.ones(4, 3)
    found[F.r_drop] = {"logits_a": ones, "logits_b": ones, "weight": ones[0]}
    found[F.r_drop] |= {"target": torch.zeros(4).long(), "padding_mask": torch.zeros(4).bool()}
    return found


GOOD = _named()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", GOOD, ids=lambda f: f.__name__)
def test_no_value_of_any_argument_is_a_crash_or_a_draw(function):
    """Each argument in turn gets values of every kind: `bad_arguments.py` has them."""
    for argument in inspect.signature(function).parameters:
        # A word outside the table is torch's IndexError; a table may have too few rows, or none.
        table = function is F.embedding_dropout and argument == "weight"
        allowed = (IndexError, RuntimeError) if table else ()
        assert faults(function, lambda: dict(GOOD[function]), argument, allowed) == [], argument


class TestTransforms:
    @each()
    def test_vmap(self, name):
        """With a key all samples share the mask; without, they share one or each has its own."""
        v = FUNCTIONS[name]
        x, *rest = v.tensors()
        several = torch.stack([x, x + 1, -x])

        def keyed(x):
            return v(x, *rest, key=KEY)

        together = torch.func.vmap(keyed)(several)
        torch.testing.assert_close(together, torch.stack([keyed(one) for one in several]))

        def drawn(x):
            return v(x, *rest)

        alike = torch.stack([x] * 8)
        same = seeded(torch.func.vmap(drawn, randomness="same"), alike)
        assert torch.equal(same, same[:1].expand_as(same))
        different = seeded(torch.func.vmap(drawn, randomness="different"), alike)
        torch.manual_seed(3)
        for one in different:
            torch.testing.assert_close(one, v(x, *rest, key=Key.draw()))
        for call in (drawn, lambda _: drawn(x)):
            with refused(RuntimeError, "randomness"):
                torch.func.vmap(call)(alike)
        unbatched = torch.func.vmap(lambda _: drawn(x), randomness="different")(alike)
        assert len(unbatched.unique(dim=0)) > 1

    @each()
    def test_a_key_and_a_gradient_for_each_sample(self, name):
        v = FUNCTIONS[name]
        x, *rest = v.tensors()
        several, numbers = torch.stack([x, x + 1, -x]), torch.tensor([3, -1, 2**40])

        def call(x, n):
            return v(x, *rest, key=KEY.fold_in(n))

        alone = [call(one, n) for one, n in zip(several, numbers, strict=True)]
        torch.testing.assert_close(torch.func.vmap(call)(several, numbers), torch.stack(alone))
        gradient = torch.func.grad(lambda x, n: call(x, n).square().sum())
        alone = [gradient(one, n) for one, n in zip(several, numbers, strict=True)]
        torch.testing.assert_close(torch.func.vmap(gradient)(several, numbers), torch.stack(alone))

    @each()
    def test_a_tracer_records_one_call(self, name):
        v = FUNCTIONS[name]
        tensors = v.tensors()
        if v.adapt is not None and name != "scaled_dot_product_attention":
            pytest.skip("its adapter has a tensor of its own")
        graph = torch.fx.Tracer().trace(calling(v, len(tensors)))
        calls = [n.target for n in graph.nodes if n.op == "call_function"]
        assert calls == [v.function]
        traced = torch.fx.GraphModule(torch.nn.Module(), graph)
        assert torch.equal(seeded(traced, *tensors), seeded(v, *tensors))

    @each(lambda v: v.function is not F.embedding_dropout)  # of its words torch is asked
    def test_a_subclass_sees_the_call_and_comes_back(self, name):
        v = FUNCTIONS[name]
        x, *rest = v.tensors()
        seen = []

        class Watching(torch.Tensor):
            @classmethod
            def __torch_function__(cls, function, types, args=(), kwargs=None):
                seen.append((function, args, kwargs))
                return super().__torch_function__(function, types, args, kwargs or {})

        y = v(x.as_subclass(Watching), *rest, key=KEY)
        assert type(y) is Watching
        torch.testing.assert_close(y.as_subclass(torch.Tensor), v(x, *rest, key=KEY))
        function, args, kwargs = next(call for call in seen if call[0] is v.function)
        given = inspect.signature(function).bind(*args, **kwargs).arguments
        assert given[v.key_name] is KEY
        for option, value in v.options.items():
            assert given[option] == value
        assert v.p is None or given[v.p] == v.amount
        others = {"generator", "layout", "out", "broadcast_dims"}
        assert not others & kwargs.keys()

    @each()
    def test_tensors_without_values(self, name):
        v = FUNCTIONS[name]
        if name == "embedding_dropout":
            pytest.skip("its words have values")
        expected = v(*v.tensors(torch.bfloat16), key=KEY)
        y = v(*(t.to("meta") for t in v.tensors(torch.bfloat16)))
        assert (y.is_meta, y.shape, y.dtype) == (True, expected.shape, expected.dtype)
        with FakeTensorMode():
            z = v(*(torch.empty(s, dtype=torch.bfloat16) for s in v.shapes))
        assert (z.shape, z.dtype) == (expected.shape, expected.dtype)
        with torch.inference_mode():
            z = v(*v.tensors(torch.bfloat16), key=KEY)
        assert z.is_inference()
        torch.testing.assert_close(z, expected)

    def test_a_default_device_and_autocast_change_nothing(self):
        for v in FUNCTIONS.values():
            if v.exact:
                x, *rest = v.tensors()
                expected = seeded(v, x, *rest)
                with torch.autocast("cpu", torch.bfloat16):
                    assert torch.equal(seeded(v, x, *rest), expected)
                with torch.device("meta"):
                    assert torch.equal(seeded(v, x, *rest), expected)


def calling(v, count):
    """A module whose arguments a tracer replaces: it reads their names."""
    names = ", ".join(f"t{n}" for n in range(count))
    forward = eval(f"lambda self, {names}: v({names})", {"v": v})
    return type("Calling", (torch.nn.Module,), {"forward": forward})()


@pytest.mark.integration
@pytest.mark.parametrize("group", range(4))
def test_compiled_in_one_graph_is_eager(group):
    """Several in a program, which compiles faster than one each: bits, gradients and draws."""
    torch._dynamo.reset()
    chosen = list(FUNCTIONS.values())[group::4]
    tensors = [v.tensors(grad=True) for v in chosen]

    def function(tensors):
        return [v(*own) for v, own in zip(chosen, tensors, strict=True)]

    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    got, expected = seeded(compiled, tensors), seeded(function, tensors)
    for v, y, other, own in zip(chosen, got, expected, tensors, strict=True):
        same = torch.testing.assert_close if not v.exact else exactly
        same(y, other)
        both = [torch.autograd.grad(t.square().sum(), own, retain_graph=True) for t in (y, other)]
        torch.testing.assert_close(*both)
    seeded(compiled, tensors)
    after = torch.get_rng_state()
    seeded(function, tensors)
    assert torch.equal(torch.get_rng_state(), after)


def exactly(a, b):
    assert torch.equal(a, b)


@pytest.mark.integration
@pytest.mark.parametrize("training", [True, False])
def test_exported_it_is_eager(training):
    class Model(torch.nn.Module):
        def forward(self, tensors):
            return [v(*own, training=training) for v, own in zip(chosen, tensors, strict=True)]

    chosen = [v for v in FUNCTIONS.values() if v.key_name == "key"]
    tensors = [v.tensors() for v in chosen]
    program = torch.export.export(Model(), (tensors,)).module()
    for v, a, b in zip(chosen, seeded(program, tensors), seeded(Model(), tensors), strict=True):
        (exactly if v.exact else torch.testing.assert_close)(a, b)
