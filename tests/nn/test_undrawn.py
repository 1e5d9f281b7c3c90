"""A module whose own layer raises leaves the generator as it was."""

from functools import partial

import pytest
import torch

from draws import refused
from torchdropout import Key, nn
from torchdropout.errors import ArgumentValueError


class Raises(torch.nn.Linear):
    """A layer that raises after the draw, whose number depends on whether p is in (0, 1)."""

    def __init__(self):
        super().__init__(4, 4)

    def forward(self, x, *_, **further):
        raise MemoryError(*further)


def attention():
    layer = nn.MultiheadAttention(4, 2, 0.5, batch_first=True)
    layer.out_proj = Raises()
    return lambda x, **key: layer(x, x, x, **key)


def lstm():
    layer = nn.LSTM(4, 4, input_dropout=0.5)
    layer._whole = Raises().forward
    return layer


WRAPPED = {
    "LayerDrop": lambda: nn.LayerDrop(Raises(), 1e-9),
    "LayerDrop, a key of the branch": lambda: partial(nn.LayerDrop(Raises(), 1e-9), key=1),
    "LayerDrop, another shape": lambda: nn.LayerDrop(torch.nn.Linear(4, 5), 1e-9),
    "ConcreteDropout": lambda: nn.ConcreteDropout(Raises()),
    "MultiSampleDropout": lambda: nn.MultiSampleDropout(0.5, Raises()),
    "MultiSampleDropout, batched": lambda: nn.MultiSampleDropout(0.5, Raises(), batched=True),
    "WeightDrop": lambda: nn.WeightDrop(Raises(), 0.5, "weight"),
    "MultiheadAttention": attention,
    "LSTM": lstm,
}


@pytest.mark.parametrize("name", WRAPPED)
def test_where_the_layer_raises_nothing_is_drawn(name):
    call = WRAPPED[name]()
    with refused((MemoryError, ArgumentValueError)):
        call(torch.ones(2, 3, 4))


class Draws(torch.nn.Linear):
    """A layer that draws before it raises."""

    def __init__(self):
        super().__init__(4, 4)

    def forward(self, x):
        torch.rand(1)
        raise MemoryError


@pytest.mark.parametrize("make", [nn.LayerDrop, lambda layer, p: nn.WeightDrop(layer, p, "weight")])
def test_with_a_key_what_the_layer_has_drawn_stays_drawn(make):
    layer = make(Draws(), 1e-9)
    torch.manual_seed(0)
    torch.rand(1)
    after_it = torch.get_rng_state()
    torch.manual_seed(0)
    with pytest.raises(MemoryError):
        layer(torch.ones(2, 4), dropout_key=Key(0))
    assert torch.equal(torch.get_rng_state(), after_it)
