"""nn.LockedDropout: fastai's RNNDropout, or AWD-LSTM's, by its time dimension."""

import pytest
import torch

import torchdropout as td
from torchdropout.errors import ArgumentTypeError, ArgumentValueError


def seeded(function, *args, **kwargs):
    torch.manual_seed(3)
    return function(*args, **kwargs)


def test_wrong_arguments():
    with pytest.raises(ArgumentValueError, match=r"got p=1.5 \(float\)"):
        td.nn.LockedDropout(1.5)
    with pytest.raises(
        ArgumentTypeError, match=r"`time_dim` to be an integer, .* got time_dim='1'"
    ):
        td.nn.LockedDropout(0.5, "1")
    with pytest.raises(ArgumentValueError, match="of a 1-D input"):
        td.nn.LockedDropout().eval()(torch.ones(3))


def test_between_the_layers_of_an_lstm():
    """A dropped unit of a hidden state is dropped at all steps, and its weights learn nothing."""
    lstm = torch.nn.LSTM(4, 16, batch_first=True)
    hidden, _ = lstm(torch.randn(3, 7, 4))
    y = seeded(td.nn.LockedDropout(0.5), hidden)
    dropped = y == 0
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert 0 < dropped[:, 0].float().mean() < 1
    assert torch.equal(y[~dropped], 2 * hidden[~dropped])
