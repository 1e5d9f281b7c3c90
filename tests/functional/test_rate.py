"""The stand-in for a rate in compiled code: the calls that it is given to are those of the number.

The calls are made without a compiler, which only records them.
"""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from oracle import same_bits
from torchdropout import Key
from torchdropout import functional as F
from torchdropout._core import direct
from torchdropout.functional import _rate
from torchdropout.functional._bernoulli import inverted, unscaled
from torchdropout.functional._blocks import block_constants
from torchdropout.functional._rate import Rate, RatePair, check_probability, drops
from torchdropout.functional.alpha_dropout import alpha
from torchdropout.functional.gaussian_dropout import noise_of as of_dropout
from torchdropout.functional.gaussian_noise import noise_of as of_noise
from torchdropout.functional.uniform_dropout import noise_of as of_uniform

KEY = Key(2**63 + 5, 9)
WORDS = torch.tensor([[3, 0, 3], [1, 4, 2]])


def of_linear(p):
    return inverted(p).constants


def of_select(p):
    return unscaled(p).constants


def of_noise_map(noise):
    return lambda rate: noise(rate).constants[1:]


# By name: the call, its input's shape, and what its constants are computed from the number by.
CALLS = {
    "dropout": (lambda x, p: F.dropout(x, p, key=KEY), (4, 6), of_linear),
    "dropout2d": (lambda x, p: F.dropout2d(x, p, key=KEY), (2, 3, 4, 5), of_linear),
    "drop_path": (lambda x, p: F.drop_path(x, p, True, key=KEY), (6, 3), of_linear),
    "drop_path, unscaled": (
        lambda x, p: F.drop_path(x, p, True, False, key=KEY),
        (6, 3),
        of_select,
    ),
    "alpha_dropout": (
        lambda x, p: F.alpha_dropout(x, p, True, key=KEY),
        (4, 6),
        lambda p: alpha(p).constants,
    ),
    "feature_alpha_dropout": (
        lambda x, p: F.feature_alpha_dropout(x, p, True, key=KEY),
        (4, 6, 2),
        lambda p: alpha(p).constants,
    ),
    "multi_sample": (lambda x, p: F.multi_sample_dropout(x, p, key=KEY), (4, 6), of_linear),
    "dropout_add": (lambda x, p: F.dropout_add(x, x + 1, p, key=KEY), (4, 6), of_linear),
    "zoneout": (lambda x, p: F.zoneout(x, x + 1, p, key=KEY), (4, 6), of_select),
    "zoneout in eval": (lambda x, p: F.zoneout(x, x + 1, p, False), (4, 6), of_select),
    "drop_block1d": (
        lambda x, p: F.drop_block1d(x, p, 3, key=KEY),
        (4, 3, 9),
        lambda p: block_constants(p, 1, 3, 1e-6),
    ),
    "drop_block2d, by count": (
        lambda x, p: F.drop_block2d(x, p, 2, scale="count", key=KEY),
        (4, 3, 5, 4),
        lambda p: block_constants(p, 2, 2, 1e-6),
    ),
    "token_dropout": (lambda x, p: F.token_dropout(x, p, key=KEY), (4, 9, 2), lambda p: (p,)),
    "column_dropout": (lambda x, p: F.column_dropout(x, p, key=KEY), (4, 9), lambda p: (p,)),
    "embedding_dropout": (
        lambda x, p: F.embedding_dropout(WORDS, x, p, key=KEY),
        (5, 3),
        of_linear,
    ),
    "attention": (
        lambda x, p: F.scaled_dot_product_attention(x, x, x, dropout_p=p, dropout_key=KEY),
        (2, 7, 4),
        of_linear,
    ),
    "gaussian_dropout": (
        lambda x, p: F.gaussian_dropout(x, p, key=KEY),
        (4, 6),
        of_noise_map(of_dropout),
    ),
    "feature_gaussian_dropout": (
        lambda x, p: F.feature_gaussian_dropout(x, p, key=KEY),
        (4, 6, 2),
        of_noise_map(of_dropout),
    ),
    "gaussian_noise": (
        lambda x, p: F.gaussian_noise(x, p, key=KEY),
        (4, 6),
        of_noise_map(of_noise),
    ),
    "uniform_dropout": (
        lambda x, p: F.uniform_dropout(x, p, key=KEY),
        (4, 6),
        of_noise_map(of_uniform),
    ),
}
FINITE = {"gaussian_dropout", "feature_gaussian_dropout", "uniform_dropout"}


def input_of(name):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(CALLS[name][1], generator=generator).requires_grad_()


@pytest.mark.parametrize("p", [0.3, 1.0])
@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_that_of_the_number(name, p, monkeypatch):
    if p == 1.0 and name in FINITE:
        p = 0.9
    if name == "dropout_add":
        monkeypatch.setattr(direct, "takes_add", lambda *tensors: False)
    call, _, constants = CALLS[name]
    x = input_of(name)
    y, expected = call(x, Rate.of(p, constants(p))), call(x, p)
    if name in ("attention", "zoneout in eval"):
        torch.testing.assert_close(y, expected)
    else:
        assert same_bits(y, expected)
    gradient = torch.randn(y.shape, generator=torch.Generator().manual_seed(2))
    found, wanted = (torch.autograd.grad(t, x, gradient)[0] for t in (y, expected))
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("name", CALLS)
def test_at_zero_nothing_is_dropped(name):
    call, _, constants = CALLS[name]
    x = input_of(name)
    y = call(x, Rate.of(0.0, constants(0.0)))
    torch.testing.assert_close(y, call(x, 0.0), rtol=0, atol=0)
    assert (y is x) == (call(x, 0.0) is x)


class TestRate:
    @pytest.mark.parametrize(
        ("p", "active", "one"), [(0.0, False, False), (0.5, True, False), (1.0, True, True)]
    )
    def test_of_a_number(self, p, active, one):
        rate = Rate.of(p, (p, 0.1))
        assert (rate.active, rate.one) == (active, one)
        assert rate.constants.dtype == torch.float64
        assert rate.constants.tolist() == [p, 0.1]
        assert check_probability(rate) is rate
        assert drops(rate) is active
        assert drops(p) is active

    def test_its_tensor_is_on_the_cpu_and_can_be_kept_for_a_backward(self):
        with torch.inference_mode(), torch.device("meta"):
            rate = Rate.of(0.5, (0.5,))
        assert rate.constants.device.type == "cpu"
        assert not rate.constants.is_inference()

    def test_where_no_real_tensor_can_be_made_there_is_none(self):
        with FakeTensorMode():
            assert Rate.of(0.5, (0.5,)) is None


@pytest.mark.parametrize("exporting", [False, True])
@pytest.mark.parametrize("compiling", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_a_graph_that_is_not_exported_reads_the_tensor(monkeypatch, exporting, compiling, known):
    monkeypatch.setattr(_rate, "is_dynamo_compiling", lambda: compiling)
    monkeypatch.setattr(_rate._torch, "is_exporting", lambda: exporting)
    rate = Rate.of(0.5, (0.5,)) if known else None
    pair = RatePair.of(torch.nn.Dropout(0.25), "p", rate)
    assert pair.rate is rate
    if known and compiling and not exporting:
        assert pair.p is rate
        assert pair.here() is rate
        assert RatePair(0.25, rate).here() is rate
    else:
        assert pair.p == 0.25
        assert pair.here() == 0.25
