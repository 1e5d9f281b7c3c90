"""Channel dropout: torch's shapes, warnings and errors, with one draw a channel."""

import pytest
import torch

from torchdropout import Key
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, ShapeError

KEY = Key(8, 9)


def channels(y, lead):
    """Per channel, the value if it is one value."""
    flat = y.reshape(*y.shape[:lead], -1)
    assert torch.equal(flat, flat[..., :1].expand_as(flat))
    return flat[..., 0]


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("dropout2d", (4, 50, 6), "assuming that channel-wise 1D dropout behavior is desired"),
        ("dropout2d", (4, 50), "Received a 2-D input to dropout2d"),
        ("dropout2d", (4, 50, 2, 2, 2), "Received a 5-D input to dropout2d"),
        ("dropout3d", (50, 4, 3), "Received a 3-D input to dropout3d"),
        ("dropout3d", (50,), "Received a 1-D input to dropout3d"),
        ("dropout3d", (50, 2, 2, 2, 2, 2), "Received a 6-D input to dropout3d"),
    ],
)
def test_warns_where_torch_warns_and_reads_it_as_torch_does(name, shape, words):
    x = torch.ones(shape)
    with pytest.warns(UserWarning, match=words):
        torch.nn.functional.__dict__[name](x)
    with pytest.warns(UserWarning, match=words) as caught:
        y = getattr(F, name)(x, 0.5, key=KEY)
    (warning,) = caught
    assert "Dropout1d" in str(warning.message)
    assert "broadcast_dims" in str(warning.message)
    assert warning.filename == __file__
    lead = 2 if name == "dropout2d" else 1
    assert torch.equal(channels(y, lead), F.keep_mask(shape[:lead], 0.5, key=KEY) * 2.0)


@pytest.mark.parametrize("shape", [(2,), (), (2, 3, 4, 5)])
@pytest.mark.parametrize("training", [True, False])
def test_dropout1d_refuses_other_ranks_as_torch_does(shape, training):
    x = torch.ones(shape)
    words = f"dropout1d: Expected 2D or 3D input, but received a {x.ndim}D input"
    for function in (torch.nn.functional.dropout1d, F.dropout1d):
        with pytest.raises(RuntimeError, match=words):
            function(x, 0.5, training)
    with pytest.raises(ShapeError, match=r"\(C, L\) or \(N, C, L\)"):
        F.dropout1d(x, 0.5, training)
    with pytest.raises(ArgumentValueError, match=r"got p=1\.5"):  # it is reported first
        F.dropout1d(x, 1.5, training)


@pytest.mark.parametrize(("name", "shape"), [("dropout2d", (3,)), ("dropout3d", ())])
def test_too_few_dimensions_raise_as_in_torch(name, shape):
    x, before = torch.ones(shape), torch.get_rng_state()
    for module in (torch.nn.functional, F):
        with pytest.warns(UserWarning, match=name), pytest.raises(RuntimeError):
            getattr(module, name)(x, 0.5, True)
        with pytest.warns(UserWarning, match=name):
            assert torch.equal(getattr(module, name)(x, 0.5, False), x)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("name", "sizes"), [("1d", (4,)), ("2d", (4, 5)), ("3d", (4, 5, 2))])
def test_a_nested_tensor_of_which_nothing_is_dropped_is_returned(name, sizes):
    parts = [torch.ones(n, *sizes) for n in (2, 3)]
    x = torch.nested.nested_tensor(parts, layout=torch.jagged)
    function = getattr(F, f"dropout{name}")
    assert function(x, 0.5, False) is x
    assert function(x, 0.0) is x
    with pytest.raises(ArgumentTypeError, match="a tensor that is not nested, as elements share"):
        function(x, 0.5, key=KEY)
