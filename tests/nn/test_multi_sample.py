"""nn.MultiSampleDropout: one head on several masks in training, on the input itself in eval."""

import pytest
import torch

import torchdropout as td
from draws import draws_nothing
from torchdropout import functional as F
from variants import seeded


def make(p=0.4, **given):
    torch.manual_seed(0)
    head = torch.nn.Sequential(torch.nn.Linear(8, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
    return td.nn.MultiSampleDropout(p, head, **{"samples": 4, **given})


@pytest.mark.parametrize("batched", [False, True])
def test_training_is_the_mean_over_the_masks(batched):
    module, x = make(batched=batched), torch.randn(5, 8, requires_grad=True)
    dropped = F.multi_sample_dropout(x, 0.4, 4, key=seeded(td.Key.draw))
    outputs = torch.stack([module.head(sample) for sample in dropped])
    y = seeded(module, x)
    torch.testing.assert_close(y, outputs.mean(0))
    module.reduce = "none"
    torch.testing.assert_close(seeded(module, x), outputs)
    gradients = torch.autograd.grad(y.sum(), (x, *module.parameters()))
    expected = torch.autograd.grad(outputs.mean(0).sum(), (x, *module.parameters()))
    torch.testing.assert_close(gradients, expected)


@pytest.mark.parametrize(("p", "training"), [(0.4, False), (0.0, True)])
def test_without_dropout_the_head_is_called_once_and_nothing_drawn(p, training):
    module, x = make(p).train(training), torch.randn(5, 8)
    calls = []
    module.head.register_forward_hook(lambda *_: calls.append(1))
    with draws_nothing():
        y = module(x)
        assert len(calls) == 1
        assert torch.equal(y, module.head(x))
        module.reduce = "none"
        assert torch.equal(module(x), y[None])


def test_a_head_that_mixes_its_batch_is_called_sample_by_sample():
    x = torch.randn(6, 8)
    norm = torch.nn.BatchNorm1d(8)
    module = td.nn.MultiSampleDropout(0.4, norm, 3, "none")
    y = seeded(module, x)
    torch.testing.assert_close(y.mean(1), torch.zeros(3, 8), rtol=0, atol=1e-6)  # of each
    assert norm.num_batches_tracked == 3
    module.batched = True
    y = seeded(module, x)
    assert y.shape == (3, 6, 8)
    assert y.mean(1).abs().max() > 1e-3  # of all together
    assert norm.num_batches_tracked == 4
