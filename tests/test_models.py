"""Real models with torch's modules replaced by ours: train, eval, compile, export."""

import copy
import functools

import pytest
import torch
import torchvision
from torchvision.models.vgg import cfgs, make_layers

import torchdropout as td


def narrow_vgg11():
    """The layers of vgg11; those of 4096 units, most of its parameters, have 32."""
    with torch.device("meta"):
        model = torchvision.models.vgg11(num_classes=10)
    model.features = make_layers(cfgs["A"])
    for place, (inputs, outputs) in {0: (512 * 7 * 7, 32), 3: (32, 32), 6: (32, 10)}.items():
        model.classifier[place] = torch.nn.Linear(inputs, outputs)
    return model


def transformer_layer():
    layer = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    # Inside attention it is torch's own dropout, which draws other bits when it is compiled.
    layer.self_attn.dropout = 0.0
    return layer


class LSTMClassifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(50, 16)
        self.word_drop = torch.nn.Dropout1d(0.1)
        self.lstm = torch.nn.LSTM(16, 32, batch_first=True)
        self.drop = torch.nn.Dropout(0.4)
        self.alpha = torch.nn.AlphaDropout(0.1)
        self.head = torch.nn.Linear(32, 5)

    def forward(self, tokens):
        # Whole words are dropped.
        words = self.word_drop(self.embed(tokens))  # torchdropout: ignore[feature-dropout-rank]
        hidden, _ = self.lstm(words)
        return self.head(self.alpha(self.drop(hidden.mean(1))))


MODELS = {
    "vgg11": (narrow_vgg11, lambda: torch.randn(2, 3, 32, 32), 2),
    "transformer": (transformer_layer, lambda: torch.randn(3, 7, 32), 3),
    "lstm": (LSTMClassifier, lambda: torch.randint(0, 50, (4, 9)), 3),
}


@functools.cache  # the largest has 10 million parameters
def original_of(name):
    torch.manual_seed(0)
    return MODELS[name][0]()


@pytest.fixture(
    params=[pytest.param("vgg11", marks=pytest.mark.integration), "transformer", "lstm"]
)
def case(request):
    _, make_input, sites = MODELS[request.param]
    original = original_of(request.param).train()
    model = copy.deepcopy(original)
    torch.manual_seed(0)
    assert len(td.convert(model).changes) == sites
    return original, model, make_input()


def seeded(model, x):
    torch.manual_seed(7)
    return model(x)


def test_eval_is_bit_for_bit_that_of_the_original(case):
    original, model, x = case
    assert list(model.state_dict()) == list(original.state_dict())
    with torch.no_grad():
        assert torch.equal(model.eval()(x), original.eval()(x))


def test_trains(case):
    _, model, x = case
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = [p.detach().clone() for p in model.parameters()]
    for _ in range(2):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    assert all(bool(p.isfinite().all()) for p in model.parameters())
    moved = sum(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert moved > len(before) // 2


def test_training_is_stochastic_and_reproducible(case):
    _, model, x = case
    model.train()
    with torch.no_grad():
        first = seeded(model, x)
        assert not torch.equal(model(x), first)
        assert torch.equal(seeded(model, x), first)


# What torch's LSTM makes of itself under the compiler and the exporter.
lstm_warnings = pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning",
    "ignore:The tensor attributes self.lstm:UserWarning",
)


@pytest.mark.integration
@lstm_warnings
@pytest.mark.parametrize(
    "case",
    # Convolutions take the compiler a quarter of a minute.
    ["transformer", "lstm", pytest.param("vgg11", marks=pytest.mark.slow)],
    indirect=True,
)
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiles(case, backend):
    _, model, x = case
    torch._dynamo.reset()
    model.train()
    whole = not isinstance(model, LSTMClassifier)
    compiled = torch.compile(model, fullgraph=whole, backend=backend)
    try:
        torch.testing.assert_close(seeded(compiled, x), seeded(model, x), rtol=1e-3, atol=1e-4)
        model.eval()
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-3, atol=1e-4)
    finally:
        torch._dynamo.reset()


@pytest.mark.integration
@lstm_warnings
@pytest.mark.parametrize("training", [True, False])
def test_exports(case, training):
    _, model, x = case
    model.train(training)
    program = torch.export.export(model, (x,))
    with torch.no_grad():
        torch.testing.assert_close(seeded(program.module(), x), seeded(model, x))
