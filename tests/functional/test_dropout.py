"""functional.dropout: the contract, torch's behaviours, and what it refuses."""

import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle import DTYPES, dropout, layouts_of, same_bits
from strategies import keys, layouts, probabilities, tensors
from torchdropout import Key, MaskLayout, nn
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, TorchDropoutError

KEY = Key(5, 2**40 + 1)


@pytest.mark.integration
def test_equals_the_definition():
    """Every dtype, memory layout, key, p and kind of sharing, over 10**5 elements."""
    elements = 0

    @settings(max_examples=2200)
    @given(st.data())
    def property_(data):
        nonlocal elements
        x = data.draw(tensors(max_side=8))
        p, key = data.draw(probabilities), data.draw(keys)
        if data.draw(st.booleans()):
            layout = data.draw(layouts(x.shape))
            got = F.dropout(x, p, True, key=key, layout=layout)
        else:
            dims = data.draw(st.sets(st.integers(-x.ndim, x.ndim - 1)) if x.ndim else st.just(()))
            shared = tuple({d % x.ndim for d in dims})
            layout = MaskLayout.of(tuple(x.shape), shared)
            got = F.dropout(x, p, True, key=key, broadcast_dims=shared)
        assert same_bits(got, dropout(x, p, key, layout))
        assert got.stride() == torch.empty_like(x).stride()
        elements += x.numel()

    property_()
    assert elements >= 10**5


class TestIdentity:
    @pytest.mark.parametrize("x", [torch.ones(3), torch.ones(0), torch.ones(())])
    def test_eval_and_p_zero_return_the_input_and_draw_nothing(self, x):
        before = torch.get_rng_state()
        assert F.dropout(x, 0.5, False) is x
        assert F.dropout(x, 0.0, True) is x
        assert F.dropout(x, 0, True, True) is x
        assert torch.equal(torch.get_rng_state(), before)

    def test_the_input_is_not_modified(self):
        x = torch.randn(100)
        copy, version = x.clone(), x._version
        F.dropout(x, 0.5)
        assert torch.equal(x, copy)
        assert x._version == version


class TestMask:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_does_not_depend_on_the_dtype(self, dtype):
        y = F.dropout(torch.ones(4, 100).to(dtype), 0.3, key=KEY)
        assert torch.equal(y != 0, F.keep_mask((4, 100), 0.3, key=KEY))

    @pytest.mark.parametrize("layout", ["transposed", "strided", "channels_last"])
    def test_does_not_depend_on_the_memory_layout(self, layout):
        x = torch.randn(2, 3, 4, 5)
        other = layouts_of(x)[layout]
        assert torch.equal(F.dropout(other, 0.4, key=KEY), F.dropout(x, 0.4, key=KEY))
        torch.manual_seed(4)
        drawn = F.dropout(x, 0.4)
        torch.manual_seed(4)
        assert torch.equal(F.dropout(other, 0.4), drawn)

    def test_elements_of_an_expanded_input_are_dropped_one_by_one(self):
        y = F.dropout(torch.ones(1).expand(1000), 0.5, key=KEY)
        assert torch.equal(y, F.dropout(torch.ones(1000), 0.5, key=KEY))

    def test_does_not_depend_on_the_batch_split(self):
        x = torch.randn(12, 7)
        whole = F.dropout(x, 0.3, key=KEY)
        layout = MaskLayout.of((12, 7))
        parts = [
            F.dropout(part, 0.3, key=KEY, layout=layout.at((start,)))
            for start, part in zip((0, 5, 10), x.split(5), strict=True)
        ]
        assert torch.equal(torch.cat(parts), whole)

    def test_does_not_depend_on_the_sharding(self):
        x = torch.randn(8, 10)
        whole = F.dropout(x, 0.3, key=KEY)
        layout = MaskLayout.of((8, 10))
        columns = [
            F.dropout(x[:, start : start + 5], 0.3, key=KEY, layout=layout.at((0, start)))
            for start in (0, 5)
        ]
        assert torch.equal(torch.cat(columns, 1), whole)

    def test_streams_and_seeds_are_independent(self):
        """Pairs of masks agree in half their bits, within 7 sigma of 2**16 fair coins."""
        masks = [
            F.keep_mask((2**16,), 0.5, key=key)
            for key in (Key(0), Key(1), Key(0, 1), Key(0, 2**32), Key(2**32), Key(0).fold_in(1))
        ]
        for i, one in enumerate(masks):
            for other in masks[:i]:
                agree = (one == other).sum().item()
                assert abs(agree - 2**15) < 7 * math.sqrt(2**16 / 4)

    def test_broadcast_dims_is_noise_shape(self):
        """Keras' noise_shape (batch, 1, features) is broadcast_dims=(1,)."""
        y = F.dropout(torch.ones(4, 9, 16), 0.5, key=KEY, broadcast_dims=(1,))
        small = F.keep_mask((4, 1, 16), 0.5, key=KEY)
        assert torch.equal(y != 0, small.expand(4, 9, 16))


class TestSource:
    def test_manual_seed_governs_it(self):
        x = torch.ones(64)
        torch.manual_seed(0)
        first, second = F.dropout(x), F.dropout(x)
        torch.manual_seed(0)
        assert torch.equal(F.dropout(x), first)
        assert torch.equal(F.dropout(x), second)
        assert not torch.equal(first, second)

    def test_the_drawn_key_is_keys_draw(self):
        torch.manual_seed(7)
        key = Key.draw()
        torch.manual_seed(7)
        assert torch.equal(F.dropout(torch.ones(64)), F.dropout(torch.ones(64), key=key))

    def test_a_generator_is_drawn_from_instead(self):
        before = torch.get_rng_state()
        generator = torch.Generator().manual_seed(3)
        y = F.dropout(torch.ones(64), generator=generator)
        key = Key.draw(torch.Generator().manual_seed(3))
        assert torch.equal(y, F.dropout(torch.ones(64), key=key))
        assert torch.equal(torch.get_rng_state(), before)

    def test_a_key_draws_nothing(self):
        before = torch.get_rng_state()
        F.dropout(torch.ones(64), key=KEY)
        assert torch.equal(torch.get_rng_state(), before)


class TestInPlace:
    @pytest.mark.parametrize("x", [torch.randn(50), torch.randn(5, 10).t(), torch.randn(20)[::2]])
    def test_writes_the_same_values(self, x):
        expected = F.dropout(x, 0.4, key=KEY)
        version = x._version
        assert F.dropout(x, 0.4, True, True, key=KEY) is x
        assert same_bits(x, expected)
        assert x._version > version

    def test_gradient(self):
        x = torch.randn(50, requires_grad=True)
        y = F.dropout(x * 2, 0.4, inplace=True, key=KEY)
        (got,) = torch.autograd.grad(y.sum(), x)
        assert torch.equal(got, F.dropout(torch.full((50,), 2.0), 0.4, key=KEY))

    def test_a_value_needed_for_backward_may_not_be_overwritten(self):
        x = torch.randn(50, requires_grad=True)
        y = x.exp()
        F.dropout(y, 0.4, inplace=True)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda: torch.randn(5, requires_grad=True), "a leaf Variable that requires grad"),
            (lambda: torch.randn(5, requires_grad=True)[:2], "a view of a leaf Variable"),
            (lambda: torch.randn(1).expand(5), "more than one element of the written-to tensor"),
        ],
    )
    def test_refuses_what_torch_refuses_and_draws_nothing(self, make, words):
        x = make()
        values, before = x.detach().clone(), torch.get_rng_state()
        for function in (torch.nn.functional.dropout, F.dropout):
            torch.set_rng_state(before)
            with pytest.raises(RuntimeError, match=words):
                function(x, 0.5, True, True)
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.equal(x.detach(), values)

    def test_leaves_are_fine_without_grad(self):
        x = torch.randn(5, requires_grad=True)
        with torch.no_grad():
            assert F.dropout(x, 0.5, True, True) is x


class TestSubclasses:
    def test_a_subclass_comes_back(self):
        class Mine(torch.Tensor):
            pass

        y = F.dropout(torch.ones(64).as_subclass(Mine), key=KEY)
        assert type(y) is type(torch.nn.functional.dropout(torch.ones(4).as_subclass(Mine))) is Mine
        assert torch.equal(y.as_subclass(torch.Tensor), F.dropout(torch.ones(64), key=KEY))

    def test_a_parameter_gives_a_tensor(self):
        y = F.dropout(torch.nn.Parameter(torch.ones(4)))
        assert type(y) is torch.Tensor
        assert y.requires_grad

    def test_torch_function_sees_the_call(self):
        calls = []

        class Watching(torch.Tensor):
            @classmethod
            def __torch_function__(cls, function, types, args=(), kwargs=None):
                calls.append(function)
                return super().__torch_function__(function, types, args, kwargs or {})

        F.dropout(torch.ones(4).as_subclass(Watching), 0.5)
        assert calls[0] is F.dropout

    @pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
    @pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
    def test_nested(self, layout):
        parts = [torch.randn(2, 3), torch.randn(4, 3)]
        x = torch.nested.nested_tensor(parts, layout=layout, requires_grad=True)
        y = F.dropout(x, 0.5, key=KEY)
        expected = F.dropout(torch.cat(parts), 0.5, key=KEY)
        assert torch.equal(torch.cat(list(y.unbind())), expected)
        assert F.dropout(x, 0.5, False) is x
        torch.cat([part.flatten() for part in y.unbind()]).sum().backward()
        gradient = torch.cat(list(x.grad.unbind()))
        assert torch.equal(gradient, F.dropout(torch.ones(6, 3), 0.5, key=KEY))

    @pytest.mark.parametrize(
        "extra",
        [{"broadcast_dims": (0,)}, {"layout": MaskLayout(0, (1, 1, 1))}, {"inplace": True}],
        ids=str,
    )
    @pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
    def test_nested_refuses_what_has_no_meaning(self, extra):
        x = torch.nested.nested_tensor([torch.randn(2, 3), torch.randn(4, 3)])
        (name,) = extra
        with pytest.raises(ArgumentValueError, match=f"no `{name}` with a nested tensor"):
            F.dropout(x, 0.5, **extra)


class FakeCudaGenerator(torch.Generator):
    device = torch.device("cuda")


X = torch.ones(2, 3)
NO_NUMBER = "Expected `p` to be a number in [0, 1], the drop probability, got p="
BAD_CALLS = {
    "nan": ((X, math.nan), {}, ArgumentValueError, "Expected `p` to be in [0, 1]", "got p=nan"),
    "inf": ((X, math.inf), {}, ArgumentValueError, "`p`", "got p=inf (float)"),
    "minus one": ((X, -1), {}, ArgumentValueError, "`p`", "got p=-1 (int)"),
    "above one": ((X, 1.5), {}, ArgumentValueError, "`p`", "got p=1.5 (float)"),
    "string": ((X, "0.1"), {}, ArgumentTypeError, NO_NUMBER, "got p='0.1' (str)"),
    "bool": ((X, True), {}, ArgumentTypeError, NO_NUMBER, "got p=True (bool)"),
    "none": ((X, None), {}, ArgumentTypeError, NO_NUMBER, "got p=None (NoneType)"),
    "complex tensor": (
        (X, torch.tensor(0.5j)),
        {},
        ArgumentTypeError,
        NO_NUMBER,
        "got p=<tensor of shape (), torch.complex64> (Tensor)",
    ),
    "bool tensor": ((X, torch.tensor(True)), {}, ArgumentTypeError, NO_NUMBER, "got p=True (bool)"),
    "tensor above one": ((X, torch.tensor(1.5)), {}, ArgumentValueError, "`p`", "p=1.5 (float)"),
    "learned": (
        (X, torch.nn.Parameter(torch.tensor(0.5))),
        {},
        ArgumentTypeError,
        "`p` to be a number, or a tensor without a gradient (concrete_dropout learns p)",
        "got p=<tensor of shape (), torch.float32> (Parameter)",
    ),
    "without data": (
        (X, torch.tensor(0.5, device="meta")),
        {},
        ArgumentTypeError,
        "`p` to be a number, or a tensor that has data",
        "got p=<tensor of shape (), torch.float32> (Tensor)",
    ),
    "both": (
        (X,),
        {"key": KEY, "generator": torch.Generator()},
        ArgumentValueError,
        "Expected `key` or `generator`, not both",
        "got key=Key(seed=5",
    ),
    "seed for a key": ((X,), {"key": 7}, ArgumentTypeError, "`key`", "got key=7 (int)"),
    "seed for a generator": (
        (X,),
        {"generator": 7},
        ArgumentTypeError,
        "`generator` to be a torch.Generator",
        "got generator=7 (int)",
    ),
    "generator elsewhere": (
        (X,),
        {"generator": FakeCudaGenerator()},
        ArgumentValueError,
        "`generator` to be on the CPU or on the input's device (cpu)",
        "got a generator on cuda",
    ),
    "dims twice": (
        (X,),
        {"broadcast_dims": (0, -2)},
        ArgumentValueError,
        "`broadcast_dims` to be dimensions that are each named once",
        "got broadcast_dims=(0, -2) (tuple)",
    ),
    "dims out of range": (
        (X,),
        {"broadcast_dims": (2,)},
        ArgumentValueError,
        "dimensions in [-2, 2) of a 2-D input",
        "got broadcast_dims=(2,)",
    ),
    "dims no integers": (
        (X,),
        {"broadcast_dims": (0.0,)},
        ArgumentTypeError,
        "a sequence of dimensions (integers)",
        "got broadcast_dims=(0.0,)",
    ),
    "dims no sequence": (
        (X,),
        {"broadcast_dims": 1},
        ArgumentTypeError,
        "a sequence of dimensions",
        "got broadcast_dims=1 (int)",
    ),
    "layout of another rank": (
        (X,),
        {"layout": MaskLayout(0, (1,))},
        ArgumentValueError,
        "`layout` to be one with a stride for each of the input's 2 dimensions (shape (2, 3))",
        "got layout=MaskLayout(base=0, strides=(1,)) (MaskLayout)",
    ),
    "layout out of range": (
        (X,),
        {"layout": MaskLayout(2**64 - 5, (3, 1))},
        ArgumentValueError,
        "lie in [0, 2**64)",
        "MaskLayout(base=18446744073709551611",
    ),
    "layout below zero": (
        (X,),
        {"layout": MaskLayout(2, (-3, 1))},
        ArgumentValueError,
        "not from -1 to 4",
        "strides=(-3, 1)",
    ),
    "layout no layout": (
        (X,),
        {"layout": (3, 1)},
        ArgumentTypeError,
        "`layout` to be a torchdropout.MaskLayout",
        "got layout=(3, 1) (tuple)",
    ),
    "layout and dims": (
        (X,),
        {"layout": MaskLayout.of((2, 3)), "broadcast_dims": (0,)},
        ArgumentValueError,
        "Expected `layout` or `broadcast_dims`, not both",
        "broadcast_dims=(0,)",
    ),
    "integers": (
        (torch.ones(3, dtype=torch.int64),),
        {},
        ArgumentTypeError,
        "`input` to be a floating-point or complex tensor",
        "got a tensor of torch.int64: convert it first",
    ),
    "bools": (
        (torch.ones(3, dtype=torch.bool),),
        {},
        ArgumentTypeError,
        "`input`",
        "got a tensor of torch.bool",
    ),
    "float8": (
        (torch.ones(3).to(torch.float8_e5m2),),
        {},
        ArgumentTypeError,
        "of 16 bits or more",
        "got a tensor of torch.float8_e5m2",
    ),
    "list": (([1.0],), {}, ArgumentTypeError, "`input` to be a tensor", "got input=[1.0] (list)"),
    "training": ((X, 0.5, 1), {}, ArgumentTypeError, "`training` to be a bool", "training=1 (int)"),
    "inplace": (
        (X, 0.5, True, "y"),
        {},
        ArgumentTypeError,
        "`inplace` to be a bool",
        "inplace='y'",
    ),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_refusals_say_what_was_expected_and_what_came(case):
    args, kwargs, error, expected, got = BAD_CALLS[case]
    before = torch.get_rng_state()
    with pytest.raises(error) as raised:
        F.dropout(*args, **kwargs)
    assert expected in str(raised.value)
    assert got in str(raised.value)
    assert isinstance(raised.value, TorchDropoutError)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("case", [c for c in BAD_CALLS if c not in ("training", "inplace")])
def test_eval_refuses_the_same(case):
    (x, *p), kwargs, error, *_ = BAD_CALLS[case]
    with pytest.raises(error):
        F.dropout(x, *(p or [0.5]), False, **kwargs)


def test_errors_are_python_errors_too():
    with pytest.raises(ValueError, match="got p=2"):
        F.dropout(X, 2)
    for p in (10**400, -(10**400)):  # which no float holds
        with pytest.raises(ValueError, match=r"`p` to be in \[0, 1\]"):
            F.dropout(X, p)
    with pytest.raises(TypeError, match="got p='x'"):
        F.dropout(X, "x")


@pytest.mark.parametrize("p", [1, 0.5, np.float32(0.5), np.float64(0.25)])
def test_any_real_number_is_a_p(p):
    assert F.dropout(X, p, key=KEY).shape == X.shape


@pytest.mark.parametrize("number", [torch.tensor(0.3), torch.tensor(0.3).double(), torch.tensor(1)])
def test_a_tensor_that_holds_a_number_is_that_number(number):
    """As torch takes it, in every function and module that takes p."""
    p, x = number.item(), torch.randn(4, 6, 2)
    calls = {
        "dropout": lambda p: F.dropout(x, p, key=KEY),
        "dropout1d": lambda p: F.dropout1d(x, p, key=KEY),
        "alpha_dropout": lambda p: F.alpha_dropout(x, p, True, key=KEY),
        "drop_path": lambda p: F.drop_path(x, p, True, key=KEY),
        "dropout_add": lambda p: F.dropout_add(x, x, p, key=KEY),
        "zoneout": lambda p: F.zoneout(x, -x, p, key=KEY),
        "keep_mask": lambda p: F.keep_mask(x.shape, p, key=KEY),
        "attention": lambda p: F.scaled_dot_product_attention(x, x, x, None, p, dropout_key=KEY),
    }
    for name, call in calls.items():
        assert torch.equal(call(number), call(p)), name
    assert type(nn.Dropout(number).p) is float
    assert nn.LSTM(2, 3, 2, dropout=number).dropout == p
    assert nn.MultiheadAttention(4, 2, number).dropout == p


@pytest.mark.parametrize(
    ("transform", "says"),
    {
        "vmap": (
            lambda f: torch.vmap(f)(torch.tensor([0.1, 0.9])),
            "`p` to be one number for all samples of a vmap",
        ),
        "grad": (lambda f: torch.func.grad(f)(torch.tensor(0.5)), "concrete_dropout learns p"),
        "jvp": (
            lambda f: torch.func.jvp(f, (torch.tensor(0.5),), (torch.tensor(1.0),)),
            "concrete_dropout learns p",
        ),
    }.values(),
    ids=("vmap", "grad", "jvp"),
)
def test_a_p_that_a_transform_watches_is_refused(transform, says):
    before = torch.get_rng_state()
    with pytest.raises(ArgumentTypeError) as raised:
        transform(lambda p: F.dropout(X, p).sum())
    assert says in str(raised.value)
    assert torch.equal(torch.get_rng_state(), before)


def test_compiled_a_tensor_breaks_the_graph_as_it_does_in_torch():
    call = torch.compile(lambda x, p: F.dropout(x, p, key=KEY), backend="eager")
    for p in (0.3, 0.0):
        assert torch.equal(call(X, torch.tensor(p)), F.dropout(X, torch.tensor(p), key=KEY))


@pytest.mark.integration
@pytest.mark.parametrize("p", [np.float64(0.3), np.float32(0.25), np.int64(1)])
def test_compiled_a_number_of_numpy_breaks_the_graph(p):
    """The compiler takes it for an array, whose value it does not know."""
    call = torch.compile(lambda x, p: F.dropout(x, p, key=KEY), backend="eager")
    assert torch.equal(call(X, p), F.dropout(X, p, key=KEY))
    whole = torch.compile(lambda x, p: F.dropout(x, p), backend="eager", fullgraph=True)
    before = torch.get_rng_state()
    with pytest.raises(torch._dynamo.exc.Unsupported, match="pass a Python float"):
        whole(X, p)
    assert torch.equal(torch.get_rng_state(), before)


def test_compiled_an_array_is_refused_as_p():
    call = torch.compile(lambda x, p: F.dropout(x, p), backend="eager")
    with pytest.raises(ArgumentTypeError, match="Expected `p` to be a number"):
        call(X, np.array(0.5))


def test_keep_mask_is_the_mask_of_dropout():
    for p in (0.0, 0.3, 1.0):
        kept = F.keep_mask((3, 50), p, key=KEY, broadcast_dims=(0,))
        assert kept.dtype == torch.bool
        assert torch.equal(kept, F.dropout(torch.ones(3, 50), p, key=KEY, broadcast_dims=(0,)) != 0)


@pytest.mark.parametrize(
    "shape", [lambda x: x.shape, lambda x: (x.shape[0], 7), lambda x: x.size()]
)
def test_keep_mask_of_a_traced_shape_is_drawn_in_each_call(shape):
    def kept(x, key=None):
        return F.keep_mask(shape(x), 0.5, key=key)

    traced = torch.fx.symbolic_trace(kept, concrete_args={"key": None})
    for x in (torch.ones(30, 7), torch.ones(40, 7)):
        torch.manual_seed(2)
        found = traced(x), traced(x)
        torch.manual_seed(2)
        assert all(torch.equal(mask, kept(x)) for mask in found)
    named = torch.fx.symbolic_trace(lambda x: kept(x, KEY))
    assert torch.equal(named(x), kept(x, KEY))


@pytest.mark.parametrize(
    ("args", "kwargs", "error", "words"),
    [
        (((2, -1), 0.5), {}, ArgumentValueError, "`shape` to be sizes of 0 or more, got shape=(2"),
        ((3, 0.5), {}, ArgumentTypeError, "`shape` to be a sequence of sizes (integers), got sha"),
        (((2**70,), 0.5), {}, ArgumentValueError, "`shape` to be sizes below 2**63, got shape="),
        (
            ((2**40,) * 2, 0.5),
            {},
            ArgumentValueError,
            "`shape` to be a shape of fewer than 2**62 ele",
        ),
        (((2,), 0.5), {"device": 3}, ArgumentTypeError, "`device` to be a torch.device or the n"),
        (((2,), 0.5), {"device": "gpu"}, ArgumentValueError, "got device='gpu' (str)"),
        (((2,), 2.0), {}, ArgumentValueError, "got p=2.0 (float)"),
    ],
)
def test_keep_mask_refuses(args, kwargs, error, words):
    before = torch.get_rng_state()
    with pytest.raises(error) as raised:
        F.keep_mask(*args, **kwargs)
    assert words in str(raised.value)
    assert torch.equal(torch.get_rng_state(), before)


def test_sharded_tensors_are_not_looked_for_where_torch_has_not_loaded_them(monkeypatch):
    x = torch.ones(5)
    expected = F.dropout(x, 0.5, key=KEY)
    monkeypatch.delitem(sys.modules, "torch.distributed.tensor", raising=False)
    assert torch.equal(F.dropout(x, 0.5, key=KEY), expected)
    assert torch.equal(F.dropout(torch.nn.Parameter(x), 0.5, key=KEY), expected)


@pytest.mark.parametrize("to", [torch.Tensor.to_sparse, torch.Tensor.to_mkldnn])
@pytest.mark.parametrize("name", ["dropout", "alpha_dropout", "gaussian_dropout"])
@pytest.mark.parametrize("inplace", [False, True])
def test_a_tensor_without_strides_is_refused_before_anything_is_drawn(name, to, inplace):
    x, before = to(torch.eye(4)), torch.get_rng_state()
    with pytest.raises(ArgumentTypeError, match="`input` to be a dense tensor where it drops"):
        getattr(F, name)(x, 0.5, training=True, inplace=inplace)
    assert torch.equal(torch.get_rng_state(), before)
    assert getattr(F, name)(x, 0.5, training=False, inplace=inplace) is x
