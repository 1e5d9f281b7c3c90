"""Programs exported in training, moved to eval."""

import io
import warnings
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

import torchdropout as td
from family import First
from torchdropout import nn
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.models.export import read, to_eval

# torch's, of its own LSTM
pytestmark = pytest.mark.filterwarnings("ignore:The tensor attributes")
X = torch.linspace(-1, 1, 2 * 4 * 6).reshape(2, 4, 6)


class Attention(torch.nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.attention = kind(6, 2, dropout=0.5, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x, need_weights=False)[0]


class Functions(torch.nn.Module):
    def forward(self, x):
        x = td.functional.scaled_dot_product_attention(x, x, x, dropout_p=0.5 * self.training)
        x = F.scaled_dot_product_attention(x, x, x, dropout_p=0.5 * self.training)
        x = td.functional.dropout_add(x, x, 0.5, self.training)
        return td.functional.dropout(x, 0.5, self.training, key=td.Key(3))


def ours():
    """All whose eval is the identity."""
    return torch.nn.Sequential(
        nn.Dropout(0.5),
        nn.Dropout(0.5, inplace=True),
        nn.Dropout(1.0),
        nn.Dropout1d(0.5),
        nn.AlphaDropout(0.5),
        nn.FeatureAlphaDropout(0.5),
        nn.GaussianDropout(0.5),
        nn.FeatureGaussianDropout(0.5),
        nn.GaussianNoise(0.5),
        nn.UniformDropout(0.5),
        nn.DropPath(0.5),
        nn.StochasticDepth(0.5, "row"),
        nn.DropBlock1d(0.2, 3),
        nn.LockedDropout(0.5),
        nn.NMDropout(2, 3),
        nn.ColumnDropout(0.5),
        nn.WeightDrop(torch.nn.Linear(6, 6), 0.5, "weight"),
        First(nn.LSTM(6, 6, num_layers=2, dropout=0.5, recurrent_dropout=0.5)),
        First(nn.GRU(6, 6, num_layers=2, dropout=0.5)),
        Attention(nn.MultiheadAttention),
        Functions(),
    )


def torchs():
    return torch.nn.Sequential(
        torch.nn.BatchNorm1d(4),
        torch.nn.BatchNorm1d(4, track_running_stats=False),
        torch.nn.Dropout(0.5),
        torch.nn.Dropout(0.5, inplace=True),
        torch.nn.Dropout1d(0.5),
        torch.nn.AlphaDropout(0.5),
        torch.nn.FeatureAlphaDropout(0.5),
        torch.nn.RReLU(),
        First(torch.nn.LSTM(6, 6, num_layers=2, dropout=0.5)),
        Attention(torch.nn.MultiheadAttention),
        torch.nn.Dropout(0.5),
    )


def exported(model):
    return torch.export.export(model.train(), (X.clone(),))


@pytest.mark.integration
@pytest.mark.parametrize("strict", [False, True])
def test_an_export_in_training_is_warned_of(strict):
    with pytest.warns(UserWarning, match=r"exported in training.*to_eval\(program\)"):
        torch.export.export(nn.DropPath(0.5), (X,), strict=strict)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.export.export(nn.DropPath(0.5).eval(), (X,), strict=strict)
        torch.compile(nn.DropPath(0.5), backend="aot_eager")(X)


@pytest.mark.integration
@pytest.mark.parametrize("make", [ours, torchs])
def test_it_computes_what_the_model_does_in_eval(make):
    model = make()
    program = exported(model)
    assert to_eval(program) is program
    expected = model.eval()(X)
    torch.testing.assert_close(program.module()(X), expected)
    state = torch.get_rng_state()
    program.module()(X)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any("torchdropout" in str(node.target) for node in program.graph.nodes)
    assert list(read(program)) == []


@pytest.mark.integration
def test_a_program_is_saved_and_decomposed_afterwards():
    model = torch.nn.Sequential(torch.nn.Linear(6, 6), nn.Dropout(0.5), torch.nn.Dropout(0.5))
    program = to_eval(exported(model))
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    expected = model.eval()(X)
    assert torch.equal(torch.export.load(file).module()(X), expected)
    torch.testing.assert_close(program.run_decompositions().module()(X), expected)


@pytest.mark.integration
def test_a_decomposed_program():
    """Torch's dropout is then `native_dropout`; the statistics of its norm are an output."""
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(4), nn.Dropout(0.5), torch.nn.Dropout(0.5))
    program = to_eval(exported(model).run_decompositions())
    torch.testing.assert_close(program.module()(X), model.eval()(X))
    torch.testing.assert_close(program.module()(X), model(X))


def test_a_program_that_is_unflattened():
    inner = torch.nn.Sequential(torch.nn.Linear(6, 6), nn.Dropout(0.5))
    model = torch.nn.Sequential(inner, torch.nn.Linear(6, 6))
    program = torch.export.export(model.train(), (X,), preserve_module_call_signature=("0",))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own
        unflattened = torch.export.unflatten(to_eval(program))
    assert torch.equal(unflattened(X), model.eval()(X))


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore:You are calling torch.compile")  # torch 2.10, of its own `cond`
def test_branches():
    drop, torchs = nn.Dropout(0.5), torch.nn.Dropout(0.5)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.torchs = drop, torchs

        def forward(self, x):
            return torch.cond(
                x.sum() > 0, lambda x: self.drop(x) + 1, lambda x: self.torchs(x) - 1, (x,)
            )

    program = to_eval(exported(Model()))
    assert torch.equal(program.module()(X.abs()), X.abs() + 1)
    assert torch.equal(program.module()(-X.abs()), -X.abs() - 1)


def test_sizes_that_vary():
    batch = torch.export.Dim("batch")
    model = torch.nn.Sequential(nn.Dropout(0.5), nn.DropPath(0.5))
    program = torch.export.export(model.train(), (X,), dynamic_shapes=[{0: batch}])
    assert torch.equal(to_eval(program).module()(X.repeat(3, 1, 1)), X.repeat(3, 1, 1))


def test_dropouts_of_a_graph_of_fx():
    from torchvision.ops import StochasticDepth

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.drop, self.depth = nn.Dropout(0.5), StochasticDepth(0.5, "row")

        def forward(self, x):
            x = F.dropout(self.drop(x), 0.5, self.training)
            x = torch.dropout(F.alpha_dropout(x, 0.5, self.training), 0.5, True)
            x = td.functional.dropout(x, 0.5, self.training)
            x = td.functional.gaussian_noise(x, 0.5, self.training)
            x = F.dropout(x)  # torchdropout: ignore[functional-always-on]
            x = td.functional.zoneout(x, x + 1, 0.25, self.training)
            # torchdropout: ignore[attention-dropout-ungated]
            x = td.functional.scaled_dot_product_attention(x, x, x, dropout_p=0.5)
            return self.depth(x)

    graph = torch.fx.symbolic_trace(Model().train())
    assert to_eval(graph) is graph
    assert not graph.drop.training
    x = X + 0.25
    torch.testing.assert_close(graph(X), F.scaled_dot_product_attention(x, x, x))


class Zoneout(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.zone = nn.Zoneout(0.5)

    def forward(self, x):
        return self.zone(x, x + 1)


class Embedding(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.EmbeddingDropout(torch.nn.Embedding(10, 6), 0.5)

    def forward(self, x):
        return self.words((x > 0).long().sum(-1))


class Masked(torch.nn.Module):
    def forward(self, x):
        return x * td.keep_mask(x.shape, 0.5) * 2


REFUSED = {
    "TokenDropout": (lambda: nn.TokenDropout(0.5), "torchdropout.choose"),
    "VariationalDropout": (lambda: nn.VariationalDropout(0.5), "torchdropout.noise_affine"),
    "ConcreteDropout": (
        lambda: nn.ConcreteDropout(torch.nn.Linear(6, 6)),
        "torchdropout.noise_affine",
    ),
    "Zoneout": (Zoneout, "zone: torchdropout.masked_affine"),
    "LSTM": (lambda: First(nn.LSTM(6, 6, zoneout_hidden=0.5)), "torchdropout.masked_affine"),
    "EmbeddingDropout": (Embedding, "words: torchdropout.masked_affine"),
    "keep_mask": (Masked, "torchdropout.masked_affine"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_moved_is_refused_and_nothing_is_changed(name):
    make, said = REFUSED[name]
    program = exported(torch.nn.Sequential(nn.Dropout(0.5), make()))
    before = str(program)
    with pytest.raises(ArgumentValueError, match=said) as caught:
        to_eval(program)
    assert "Export the model in eval" in str(caught.value)
    assert str(program) == before


def test_masks_of_sizes_that_vary_are_refused():
    """Their sizes are computed from the input, and nothing else of it."""
    program = torch.export.export(Zoneout(), (X,), dynamic_shapes=[{0: torch.export.Dim("batch")}])
    with pytest.raises(ArgumentValueError, match=r"zone: torchdropout\.masked"):
        to_eval(program)


def test_what_else_is_random_is_named():
    from torchvision.ops import StochasticDepth

    program = exported(torch.nn.Sequential(nn.Dropout(0.5), StochasticDepth(0.5, "row")))
    with pytest.warns(UserWarning, match=r"remain in the program in eval: 1: aten.bernoulli_ "):
        to_eval(program)
    graph = torch.fx.symbolic_trace(Bernoulli())
    with pytest.warns(UserWarning, match=r"torch.bernoulli .*, Tensor.bernoulli_ "):
        to_eval(graph)


class Bernoulli(torch.nn.Module):
    def forward(self, x):
        return torch.bernoulli(x) * x.new_empty(3).bernoulli_(0.5)


@pytest.mark.parametrize("given", [torch.nn.Dropout(0.5), None, "program"])
def test_something_else(given):
    with pytest.raises(ArgumentTypeError, match=r"Expected `program` to be a torch\.export"):
        to_eval(given)


def test_a_function_of_which_several_overloads_fit():
    class Adds(torch.nn.Module):
        def forward(self, x):
            return F.dropout(torch.add(x, x), 0.5, self.training)

    graph = torch.fx.symbolic_trace(Adds().train())
    assert torch.equal(to_eval(graph)(X), X + X)


# --- What is read ---------------------------------------------------------------------------------


def node(stack=None):
    meta = {} if stack is None else {"nn_module_stack": stack}
    return SimpleNamespace(meta=meta)
