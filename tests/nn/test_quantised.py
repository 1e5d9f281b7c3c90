"""Quantised models: the modules whose eval is the identity pass on what they are given."""

import copy

import pytest
import torch

import torchdropout as td
import variants
from family import IDENTITIES
from torchdropout.errors import ArgumentTypeError
from torchdropout.models.convert import convert

quantization = pytest.importorskip("torch.ao.quantization")
pytestmark = [
    # torch's own deprecations, of all of torch.ao.quantization and of its tensors
    pytest.mark.filterwarnings("ignore:torch.ao.quantization:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:torch.quantize_per:UserWarning"),
    pytest.mark.filterwarnings("ignore:Please use quant_min:UserWarning"),
    pytest.mark.filterwarnings("ignore:must run observer:UserWarning"),
    pytest.mark.filterwarnings("ignore:TypedStorage:UserWarning"),
]
if "x86" not in torch.backends.quantized.supported_engines:
    pytest.skip("no quantised kernels for this processor", allow_module_level=True)

X = torch.linspace(-1, 1, 2 * 6 * 6).reshape(2, 6, 6)
QUANTISED = {
    "per tensor": lambda x: torch.quantize_per_tensor(x, 0.1, 10, torch.quint8),
    "per channel": lambda x: torch.quantize_per_channel(
        x, torch.full(x.shape[-1:], 0.1), torch.zeros(x.shape[-1]), x.ndim - 1, torch.qint8
    ),
}


@pytest.mark.parametrize("how", QUANTISED)
@pytest.mark.parametrize("name", IDENTITIES)
def test_eval_returns_a_quantised_tensor(name, how):
    of = variants.MODULES[name].of if name in variants.MODULES else "dropout"
    x = QUANTISED[how](variants.FUNCTIONS[of or "dropout"].tensors()[0])
    module = IDENTITIES[name]()
    assert module.eval()(x) is x
    with pytest.raises(ArgumentTypeError, match=r"got a tensor of torch\.qu?int8.*dequantize\(\)"):
        module.train()(x)


def linear(make):
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(6, 6), make(), torch.nn.Linear(6, 6))


def statically(model, **how):
    wrapped = quantization.QuantWrapper(model).eval()
    wrapped.qconfig = quantization.get_default_qconfig("x86")
    prepared = quantization.prepare(wrapped)
    prepared(X)
    return quantization.convert(prepared, **how)


@pytest.mark.parametrize("name", ["Dropout", "DropPath", "GaussianNoise"])
def test_static_quantisation(name):
    expected = statically(linear(torch.nn.Identity))(X)
    assert torch.equal(statically(linear(IDENTITIES[name]))(X), expected)


def test_dynamic_quantisation_of_a_recurrent_layer():
    """Torch quantises the exact class only, in silence: ours is put back before."""
    model = torch.nn.Sequential(torch.nn.LSTM(6, 6, 2, dropout=0.5)).eval()
    expected = quantization.quantize_dynamic(copy.deepcopy(model), {torch.nn.LSTM})(X)
    conversion = convert(model)
    skipped = quantization.quantize_dynamic(model, {torch.nn.LSTM})
    assert type(skipped[0]) is td.nn.LSTM
    quantised = quantization.quantize_dynamic(conversion.undo(), {torch.nn.LSTM})
    assert type(quantised[0]) is torch.ao.nn.quantized.dynamic.LSTM
    assert torch.equal(quantised(X)[0], expected[0])
    # One that was built as ours has the parameters of torch's.
    ours = td.nn.LSTM(6, 6, 2, dropout=0.5, recurrent_dropout=0.5)
    theirs = torch.nn.LSTM(6, 6, 2, dropout=0.5)
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(theirs.eval()(X)[0], ours.eval()(X)[0])
