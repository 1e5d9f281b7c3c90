"""The passes of a model's audit: the names of its modules, how it is run, and its errors."""

import warnings

import pytest
import torch
from torch import nn

from torchdropout.audit_model.observer import Declared
from torchdropout.audit_model.run import _described, _paths, _runnable, _shapes, _uncalled, sites
from torchdropout.errors import ArgumentTypeError, TargetError

X = torch.ones(4, 8)


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((), {}, "no arguments"),
        ((X,), {}, "4x8 float32"),
        ((X, torch.ones((), dtype=torch.int64)), {}, "4x8 float32, a number int64"),
        ((), {"x": X.half(), "n": 3}, "x=4x8 float16, n=int"),
        (([X], None), {}, "list, NoneType"),
    ],
)
def test_inputs_in_words(args, kwargs, text):
    assert _shapes(args, kwargs) == text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no  weights"), "ValueError: no  weights"),
        (ValueError(" "), "ValueError"),
        (SystemExit(), "SystemExit"),
        (SystemExit(3), "SystemExit: 3"),
    ],
)
def test_errors_in_words(error, text):
    assert _described(error) == text


def test_the_paths_of_modules():
    shared = nn.Sequential(nn.ReLU())
    model = nn.Sequential(shared, nn.Module())
    model[1].register_module("none", None)
    model[1].add_module("again", shared)
    wrapper = nn.Module()
    wrapper.add_module("_orig_mod", nn.ReLU())
    model.add_module("compiled", wrapper)
    model[1].add_module("above", model)  # a cycle
    paths = _paths(model)
    assert paths[id(model)] == [""]
    assert paths[id(shared)] == ["0", "1.again"]
    assert paths[id(shared[0])] == ["0.0", "1.again.0"]
    assert paths[id(wrapper)] == ["compiled"]
    assert paths[id(wrapper._modules["_orig_mod"])] == ["compiled"]
    assert list(paths) == [
        *map(id, (model, shared, shared[0], model[1], wrapper, wrapper._modules["_orig_mod"]))
    ]


def test_modules_that_no_pass_called():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(nn.Sequential(nn.Dropout(0.4)))
    model = nn.Sequential(nn.Dropout(0.1), nn.ReLU(), nn.Dropout(0.2), scripted)
    names = {key: known[0] for key, known in _paths(model).items()}
    found = _uncalled(model, names, {id(model[0])})
    assert found == {"2": Declared("Dropout", 0.2)}


def test_the_model_that_is_run():
    model = nn.Sequential(nn.Linear(8, 8))
    assert _runnable(model, [X], (X,), {}) == (model, ())
    parallel = nn.DataParallel(model)
    assert _runnable(parallel, [X], (X,), {}) == (model, ("DataParallel: its module was run",))
    wrapper = nn.Module()
    wrapper.add_module("_orig_mod", model)
    assert _runnable(wrapper, [X], (X,), {}) == (wrapper, ("compiled: run eagerly",))
    lazy = nn.Sequential(nn.LazyLinear(3))
    state = torch.get_rng_state()
    copied, notes = _runnable(lazy, [X], (X,), {})
    assert notes == ("lazy: a copy was run",)
    assert copied is not lazy
    assert copied[0].weight.shape == (3, 8)
    assert torch.equal(torch.get_rng_state(), state)
    lazy(X)
    assert _runnable(lazy, [X], (X,), {}) == (lazy, ())


def test_a_lazy_model_that_cannot_be_copied():
    class Stuck(nn.LazyLinear):
        def __deepcopy__(self, memo):
            raise ValueError("stuck")

    with pytest.raises(TargetError, match=r"have been run once, or to be copyable, got ValueError"):
        sites(nn.Sequential(Stuck(3)), X)


def test_each_pass_has_its_mode():
    class Noting(nn.Module):
        def forward(self, x):
            seen.append((self.training, torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
            return x

    seen = []
    found = sites(Noting(), X)
    assert seen == [(True, True, False), (False, False, False), (True, False, False)]
    assert found.seconds > 0
    assert found.model == "Noting"


def test_the_dropouts_alone_are_in_train_in_the_fourth_pass():
    class Layer(nn.TransformerEncoderLayer):
        def forward(self, x):
            seen.append((self.training, self.norm1.training, self.dropout1.training))
            return x

    seen = []
    sites(Layer(8, 2, 8, batch_first=True), X[None])
    assert seen == [(True,) * 3, (False,) * 3, (True,) * 3, (False, False, True)]


def test_warnings_of_the_model_are_not_shown():
    class Warns(nn.Module):
        def forward(self, x):
            warnings.warn("loud", stacklevel=1)
            return x

    before = warnings.filters[:]
    sites(Warns(), X)
    assert warnings.filters == before


@pytest.mark.parametrize("model", [3, X, nn.ReLU])
def test_what_is_not_a_model(model):
    with pytest.raises(ArgumentTypeError, match="Expected `model` to be a torch"):
        sites(model, X)
