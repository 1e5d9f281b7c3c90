"""What each operator becomes in ONNX, computed by operators that follow its specification."""

import sys
from types import SimpleNamespace

import pytest
import torch

from torchdropout import onnx
from torchdropout._core.contract.noise import Law
from torchdropout.errors import ArgumentValueError

KEEP = torch.tensor([[True, False, True], [False, True, True]])
NOISE = torch.tensor([[0.5, -1.0, 0.25], [-0.5, 0.75, 1.0]])
BOOL, FLOAT = 9, 1  # as ONNX numbers them


class Value:
    """A value of a graph, with its number."""

    def __init__(self, tensor, name="x", inputs=None):
        self.tensor, self.name, self.inputs = tensor, name, inputs

    def producer(self):
        return None if self.inputs is None else SimpleNamespace(inputs=self.inputs)


def operator(function):
    def call(self, *values, **attributes):
        self.called.append(function.__name__)
        found = function(self, *(value.tensor for value in values), **attributes)
        if isinstance(found, tuple):
            return tuple(Value(one, inputs=values) for one in found)
        return Value(found, inputs=values)

    return call


class Opset:
    """The operators that are used; masks and noise are those above."""

    def __init__(self):
        self.called = []

    @operator
    def Identity(self, x):
        return x.clone()

    @operator
    def Constant(self, **value):
        ((name, number),) = value.items()
        dtype = torch.float32 if name == "value_float" else torch.int64
        return torch.tensor(number, dtype=dtype)

    @operator
    def Cast(self, x, to):
        assert to == BOOL
        return x != 0

    @operator
    def CastLike(self, x, like):
        return x.to(like.dtype)

    @operator
    def Shape(self, x):
        return torch.tensor(x.shape)

    @operator
    def Expand(self, x, shape):
        return x.expand(shape.tolist())

    @operator
    def Where(self, condition, x, y):
        assert condition.dtype == torch.bool
        return torch.where(condition, x, y)

    @operator
    def Mul(self, x, y):
        assert x.dtype == y.dtype
        return x * y

    @operator
    def Add(self, x, y):
        assert x.dtype == y.dtype
        return x + y

    @operator
    def Dropout(self, x, p, training):
        assert training.dtype == torch.bool
        assert bool(training)
        assert 0 <= p < 1
        keep = KEEP[: x.shape[0], : x.shape[1]]
        return torch.where(keep, x / (1 - p).to(x.dtype), 0), keep

    @operator
    def RandomNormalLike(self, x, dtype):
        assert dtype == FLOAT
        return NOISE[: x.shape[0], : x.shape[1]]

    @operator
    def RandomUniformLike(self, x, dtype, low, high):
        assert (dtype, low, high) == (FLOAT, -1.0, 1.0)
        return -NOISE[: x.shape[0], : x.shape[1]]


@pytest.fixture
def opset(monkeypatch):
    found = Opset()
    monkeypatch.setitem(sys.modules, "onnxscript", SimpleNamespace(opset18=found))
    return found


@pytest.fixture
def table(opset):
    found = onnx.translation_table()
    return {
        operator.name().partition("::")[2].partition(".")[0]: f for operator, f in found.items()
    }


X = Value(torch.arange(1.0, 7.0).view(2, 3))
STRIDES, SHARED = (3, 1), (0, 1)


def masked(table, *numbers, x=X, strides=STRIDES):
    return table["masked_affine"](x, table["draw_keys"](x, (2,)), *numbers, 0, strides).tensor


def noise(table, *numbers, x=X, strides=STRIDES):
    return table["noise_affine"](x, table["draw_keys"](x, (2,)), *numbers, 0, strides).tensor


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("strides", [STRIDES, SHARED, (3, 0)])
@pytest.mark.parametrize(
    ("p", "scale", "shift", "drop_value"),
    [
        (0.5, 2.0, 0.0, 0.0),
        (0.5, 3.0, 0.0, 0.0),
        (0.5, 2.0, 0.25, 0.0),
        (0.5, 2.0, 0.0, -1.0),
        (0.25, 0.5, -0.25, 3.0),
    ],
)
def test_masked_affine(table, opset, p, scale, shift, drop_value, strides, dtype):
    x = Value(X.tensor.to(dtype))
    y = masked(table, p, scale, shift, drop_value, x=x, strides=strides)
    keep = KEEP[: 2 if strides[0] else 1, : 3 if strides[1] else 1]
    assert torch.equal(y, torch.where(keep, x.tensor * scale + shift, drop_value).to(dtype))
    assert y.dtype == dtype
    assert ("Add" in opset.called) == (shift != 0)


@pytest.mark.parametrize(
    ("numbers", "strides", "x", "is_plain"),
    [
        ((0.5, 2.0, 0.0, 0.0), STRIDES, X, True),
        ((0.5, 1.0, 0.0, 0.0), STRIDES, X, False),
        ((0.5, 2.0, 1.0, 0.0), STRIDES, X, False),
        ((0.5, 2.0, 0.0, 1.0), STRIDES, X, False),
        ((0.5, 2.0, 0.0, 0.0), SHARED, X, False),
        ((0.5, 2.0, 0.0, 0.0), STRIDES, Value(X.tensor, "p_weight"), False),
        ((0.5, 2.0, 0.0, 0.0), STRIDES, Value(X.tensor, "y", [Value(None, "p_weight")]), False),
        ((0.5, 2.0, 0.0, 0.0), STRIDES, Value(X.tensor, "y", [Value(None, "p_weight"), X]), True),
    ],
)
def test_a_plain_dropout_is_one_node(table, opset, numbers, strides, x, is_plain):
    masked(table, *numbers, x=x, strides=strides)
    assert ("Where" not in opset.called and "Mul" not in opset.called) == is_plain


@pytest.mark.parametrize("drop_value", [0.0, -1.5])
@pytest.mark.parametrize("strides", [STRIDES, SHARED])
def test_everything_is_dropped(table, opset, drop_value, strides):
    y = masked(table, 1.0, 0.0, 0.0, drop_value, strides=strides)
    assert torch.equal(y, torch.full((2, 3), drop_value))
    assert "Dropout" not in opset.called


@pytest.mark.parametrize("strides", [STRIDES, SHARED])
@pytest.mark.parametrize("law", [Law.NORMAL, Law.UNIFORM])
@pytest.mark.parametrize(("factor", "addend"), [(0.5, 0.0), (0.0, 0.5), (0.25, 2.0)])
def test_noise_affine(table, opset, law, factor, addend, strides):
    x = Value(X.tensor.double())
    y = noise(table, law, factor, addend, x=x, strides=strides)
    e = NOISE[: 2 if strides[0] else 1].double()
    e = e if law == Law.NORMAL else -e
    assert torch.equal(y, x.tensor * (1 + factor * e) + addend * e)
    assert opset.called.count("Add") == (factor != 0) + (addend != 0)


def test_logistic_noise_is_refused(table):
    with pytest.raises(ArgumentValueError, match=r"Logistic noise has no .*model.eval\(\)"):
        noise(table, Law.LOGISTIC, 0.5, 0.0)


@pytest.mark.parametrize("name", ["drop_blocks", "counted_affine", "choose"])
def test_operators_without_a_translation(table, name):
    with pytest.raises(ArgumentValueError, match=f"torchdropout.{name} has no translation"):
        table[name](X, X, 0.5)


def test_a_key_is_drawn_and_used_once(table):
    first, second = table["draw_keys"](X, (2,)), table["draw_keys"](X, (2,))
    numbers = 0.5, 2.0, 0.0, 0.0, 0, STRIDES
    table["masked_affine"](X, second, *numbers)
    table["noise_affine"](X, first, Law.NORMAL, 0.5, 0.0, 0, STRIDES)
    for key in (first, second, Value(torch.zeros(2))):
        with pytest.raises(ArgumentValueError, match="drawn in the call and used once"):
            table["masked_affine"](X, key, *numbers)


def test_each_table_notes_keys_of_its_own(opset):
    draw = torch.ops.torchdropout.draw_keys.default
    use = torch.ops.torchdropout.masked_affine.default
    key = onnx.translation_table()[draw](X, (2,))
    with pytest.raises(ArgumentValueError, match="used once"):
        onnx.translation_table()[use](X, key, 0.5, 2.0, 0.0, 0.0, 0, STRIDES)
