"""Channel dropout: torch's shapes, warnings and errors, with one draw a channel."""

import pytest
import torch

from draws import refused
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


BLOCKS = {1: "C, L", 2: "C, H, W", 3: "C, D, H, W"}
RANKS = {
    F.dropout1d: ((2, 3), r"dropout1d: .*2D or 3D .*\(C, L\) or \(N, C, L\)"),
    F.feature_alpha_dropout: (range(2, 7), "at least 2 dimensions"),
    F.feature_gaussian_dropout: (range(2, 7), "feature_gaussian_dropout: Expected at least 2 dim"),
    **{
        getattr(F, f"drop_block{n}d"): (
            (n + 1, n + 2),
            rf"block{n}d: .*{n + 1}D or {n + 2}D .*\({sizes}\) or \(N, {sizes}\)",
        )
        for n, sizes in BLOCKS.items()
    },
}


@pytest.mark.parametrize("function", RANKS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("training", [True, False])
def test_other_ranks_are_refused(function, training):
    ranks, words = RANKS[function]
    of_torch = getattr(torch.nn.functional, function.__name__, None)
    for rank in range(7):
        x = torch.ones((9,) * rank)
        if rank in ranks:
            assert function(x, 0.5, training=training).shape == x.shape
        elif function in (F.feature_alpha_dropout, F.feature_gaussian_dropout) and not training:
            assert function(x, 0.5, training=False) is x  # as in torch
        else:
            with refused(ShapeError, words):
                function(x, 0.5, training=training)
            if of_torch is not None:
                with pytest.raises(RuntimeError):
                    of_torch(x, 0.5, training)
            with refused(ArgumentValueError, r"got p=1\.5"):  # it is reported first
                function(x, 1.5, training=training)


@pytest.mark.parametrize(("name", "shape"), [("dropout2d", (3,)), ("dropout3d", ())])
def test_too_few_dimensions_raise_as_in_torch(name, shape):
    x = torch.ones(shape)
    for module in (torch.nn.functional, F):
        with pytest.warns(UserWarning, match=name), refused(RuntimeError):
            getattr(module, name)(x, 0.5, True)
        with pytest.warns(UserWarning, match=name):
            assert torch.equal(getattr(module, name)(x, 0.5, False), x)


@pytest.mark.parametrize(("name", "sizes"), [("1d", (4,)), ("2d", (4, 5)), ("3d", (4, 5, 2))])
def test_a_nested_tensor_of_which_nothing_is_dropped_is_returned(name, sizes):
    parts = [torch.ones(n, *sizes) for n in (2, 3)]
    x = torch.nested.nested_tensor(parts, layout=torch.jagged)
    function = getattr(F, f"dropout{name}")
    assert function(x, 0.5, False) is x
    assert function(x, 0.0) is x
    with pytest.raises(ArgumentTypeError, match="a tensor that is not nested, as elements share"):
        function(x, 0.5, key=KEY)
