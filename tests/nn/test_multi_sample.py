"""nn.MultiSampleDropout: one head on several masks in training, on the input itself in eval."""

import pytest
import torch

import torchdropout as td
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError


def seeded(function, *args, **kwargs):
    torch.manual_seed(3)
    return function(*args, **kwargs)


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
    before = torch.get_rng_state()
    y = module(x)
    assert len(calls) == 1
    assert torch.equal(y, module.head(x))
    module.reduce = "none"
    assert torch.equal(module(x), y[None])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_loss_averaged_over_samples_is_the_papers():
    module, x, target = make(reduce="none"), torch.randn(5, 8), torch.tensor([0, 1, 2, 0, 1])
    loss = torch.nn.functional.cross_entropy
    for training in (True, False):
        output = seeded(module.train(training), x)
        assert len(output) == (4 if training else 1)
        mean = torch.stack([loss(y, target) for y in output]).mean()
        assert torch.isfinite(mean)
    # By convexity the loss of the mean is no greater than the mean of the losses.
    output = seeded(module.train(), x)
    assert loss(output.mean(0), target) < torch.stack([loss(y, target) for y in output]).mean()


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


def test_the_variance_of_the_mean_falls_with_the_samples():
    """Independent masks: with S of them, the variance of the output is 1/S of that with one."""
    x = torch.ones(1, 1)
    variances = []
    for samples in (1, 16):
        module = td.nn.MultiSampleDropout(0.5, torch.nn.Identity(), samples)
        torch.manual_seed(0)
        variances.append(torch.stack([module(x) for _ in range(1000)]).var().item())
    assert (
        abs(variances[0] - 1) < 0.25
    )  # a value of +-1 at random: nearly no spread of its variance
    assert abs(16 * variances[1] - 1) < 0.25  # 6 sigma of a variance of 1000: 0.27 at most


def test_empty_batches_and_other_heads():
    assert make(batched=True)(torch.ones(0, 8)).shape == (0, 3)
    assert make()(torch.ones(0, 8)).shape == (0, 3)
    pool = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    for batched in (False, True):
        module = td.nn.MultiSampleDropout(0.4, pool, 3, "none", batched=batched)
        assert module(torch.ones(2, 5, 4, 4)).shape == (3, 2, 5)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"p": 1.5}, ArgumentValueError, r"`p` to be in \[0, 1\]"),
        ({"p": "0.1"}, ArgumentTypeError, r"got p='0.1' \(str\)"),
        ({"head": torch.relu}, ArgumentTypeError, "`head` to be a torch.nn.Module"),
        ({"samples": 0}, ArgumentValueError, "`samples` to be 1 or more"),
        ({"samples": 1.0}, ArgumentTypeError, "`samples` to be an integer"),
        (
            {"reduce": "sum"},
            ArgumentValueError,
            r"`reduce` to be 'mean' or 'none', got reduce='sum'",
        ),
        ({"reduce": None}, ArgumentTypeError, "`reduce`"),
        ({"batched": 1}, ArgumentTypeError, "`batched` to be a bool"),
    ],
)
def test_bad_arguments(given, error, words):
    with pytest.raises(error, match=words):
        td.nn.MultiSampleDropout(**{"p": 0.1, "head": torch.nn.Identity(), **given})
    module, before = make(), torch.get_rng_state()
    vars(module)["p"] = 2.0
    with pytest.raises(ArgumentValueError, match="`p`"):
        module(torch.ones(2, 8))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_outputs_keep_their_dtype_under_autocast(dtype):
    """On a CPU torch refuses to stack float16 under autocast."""
    module = td.nn.MultiSampleDropout(0.5, torch.nn.Identity(), samples=3, reduce="none")
    x, key = torch.randn(4, 2, dtype=dtype), td.Key(1)
    with torch.autocast("cpu"):
        y = module(x, key=key)
    assert y.dtype == dtype
    assert torch.equal(y, module(x, key=key))
