"""`mc.active`: the passes of a loop, and that nothing is left behind."""

import itertools
import warnings

import pytest
import torch
from torch.nn import functional as F

import torchdropout as td
from keyed_parts import Calls
from stochastic import Gated, InTraining, mlp, seeded, state_of
from torchdropout import mc
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, SiteError

X = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))


def test_each_forward_is_the_next_pass():
    model = seeded(mlp, torch.nn.Dropout(0.5))
    with torch.no_grad():
        with mc.active(model, seed=1):
            a, b, c = model(X), model(X), model(X)
        with mc.active(model, seed=1, first=1):
            assert torch.equal(model(X), b)
            assert torch.equal(model(X), c)
        with mc.active(model, seed=td.Key(1)):
            assert torch.equal(model(X), a)
        assert not torch.equal(a, b)
        torch.testing.assert_close(model(X), model(X), rtol=0, atol=0)


def test_a_plan_of_one_input_is_made_again_for_several():
    model, rows = torch.nn.Sequential(torch.nn.Dropout(0.5)).eval(), []
    model.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    with mc.active(model):
        for size, is_planned in ((1, True), (1, False), (2, True), (4, False)):
            del rows[:]
            model(X[:size])
            assert (len(rows) > 1) == is_planned


def failing(call, error):
    """A model that raises at its n-th call; the plan has the first ten."""
    count = itertools.count(1)

    def fail(*_):
        if next(count) == call:
            raise error

    model = torch.nn.Sequential(torch.nn.BatchNorm1d(8), Gated(), torch.nn.Identity()).eval()
    model[2].register_forward_pre_hook(fail)
    return model


@pytest.mark.parametrize(
    ("error", "call"),
    [(ZeroDivisionError("oh"), 3), (KeyboardInterrupt(), 11), (ZeroDivisionError("oh"), 12)],
)
def test_however_it_ends_everything_is_as_before(error, call):
    model = failing(call, error)
    before = state_of(model)

    def run():
        with mc.active(model):
            for _ in range(3):
                model(X)

    with pytest.raises(type(error)):
        run()
    assert state_of(model) == before
    with mc.active(model):  # not even a trace of the scope
        model(X)
    assert state_of(model) == before


def test_a_forward_that_fails_is_no_pass():
    with mc.active(failing(0, None), seed=1) as scope:
        expected = [scope.model(X), scope.model(X)]
    model = failing(12, RuntimeError("no memory"))
    with mc.active(model, seed=1):
        found = [model(X)]
        with pytest.raises(RuntimeError, match="no memory"):
            model(X)
        assert not model[1].training
        found.append(model(X))
    assert all(map(torch.equal, expected, found))
    assert not torch.equal(*expected)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda x: x * torch.empty_like(x).bernoulli_(0.5) * 2 + 1, "differs from eval's by 1"),
        (lambda x: F.dropout(x, 0.5) + torch.poisson(0 * x.abs()), r"got poisson at 0 #1"),
    ],
)
def test_what_is_not_dropout_is_an_error_a_warning_or_ignored(function, said):
    model = torch.nn.Sequential(InTraining(function)).eval()
    with mc.active(model), pytest.raises(SiteError, match=said):
        model(X)
    with mc.active(model, on_unreached="warn"), pytest.warns(RuntimeWarning, match=said):
        model(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with mc.active(model, on_unreached="ignore"):
            model(X)


BAD = [
    ({"seed": -1}, ArgumentValueError, r"`seed` to be in \[0, 2\*\*64\)"),
    ({"seed": 0.5}, ArgumentTypeError, "`seed` to be an integer"),
    ({"masks": "all"}, ArgumentValueError, "`masks` to be 'per-input' or 'shared'"),
    ({"on_unreached": "log"}, ArgumentValueError, "`on_unreached` to be 'raise'"),
    ({"batch_dim": -1}, ArgumentValueError, r"`batch_dim` to be in \[0, 2\*\*6\)"),
    ({"include": 3}, ArgumentTypeError, "`include` to be a pattern of paths, or several"),
    ({"exclude": [3]}, ArgumentTypeError, "`exclude` to be a pattern of paths, or several"),
    ({"p": 1.5}, ArgumentValueError, "`p` to be in .0, 1."),
    ({"p": {"*": "x"}}, ArgumentTypeError, "`p` to be a number"),
    ({"p": {3: 0.5}}, ArgumentTypeError, "`p` to be a pattern of paths"),
    ({"shared": "x"}, ArgumentTypeError, "`shared` to be names"),
    ({"shared": 3}, ArgumentTypeError, "`shared` to be names"),
    ({"sequence": 16}, ArgumentTypeError, r"`sequence` to be \(0, length\)"),
    ({"sequence": (4, 16)}, ArgumentValueError, r"`sequence` to be \(0, length\)"),
    ({"sequence": (0, 0)}, ArgumentValueError, r"`sequence` to be \(0, length\)"),
    ({"sequence_dim": -1}, ArgumentValueError, "`sequence_dim` to be in"),
    ({"independent": 1}, ArgumentTypeError, "`independent` to be a bool"),
]


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        *((make, *bad) for bad in BAD for make in (mc.active, mc.MCDropout)),
        (mc.active, {"index": -1}, ArgumentValueError, r"`index` to be in \[0, 2\*\*63\)"),
        (mc.active, {"first": True}, ArgumentTypeError, r"`first` to be an integer in \[0, 2\*"),
    ],
)
def test_bad_arguments(make, options, error, message):
    with pytest.raises(error, match=message):
        make(mlp().eval(), **options)


class Encodes(torch.nn.Module):
    """Dropout in a method other than the forward: by a function, a part, and in a part's code."""

    def __init__(self):
        super().__init__()
        self.lin = torch.nn.Linear(8, 8)
        self.part = torch.nn.Sequential(Gated())

    def encode(self, x):
        return torch.nn.functional.dropout(self.lin(x), 0.5, self.training)

    def features(self, x):
        return self.part(self.lin(x))

    def generate(self, x, steps):
        for _ in range(steps):
            x = self(x)
        return x, torch.multinomial(x.softmax(-1), 1)

    def forward(self, x):
        return self.part(self.encode(x))


@pytest.mark.parametrize("name", ["encode", "features"])
def test_a_module_whose_forward_calls_a_method(name):
    """As the message advises."""
    model = Calls(lambda model, x: getattr(model, name)(x), seeded(Encodes)).eval()
    with torch.no_grad(), mc.active(model):
        samples = torch.stack([model(X) for _ in range(5)])
    made = mc.MCDropout(model, 5, task="regression", keep_samples=True)
    torch.testing.assert_close(made(X).samples, samples)
    assert not torch.equal(samples[0], samples[1])


@pytest.mark.parametrize("is_planned", [False, True])
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.encode(X), "its method encode, with dropout: .* its dropout stays off"),
        (lambda m: m.features(X), "its method features, with part.0: it is not in a pass"),
        (lambda m: m.forward(X), "its method forward, with dropout"),
        (lambda m: m.part(X), "its part part alone"),
        (lambda m: m.part[0](X), "its part part.0 alone"),
    ],
)
def test_a_method_other_than_the_forward(call, words, is_planned):
    model = seeded(Encodes)
    with torch.no_grad(), mc.active(model):
        if is_planned:
            model(X)
        elif words.endswith("part.0 alone"):
            return  # a module without children, such as an activation, may draw nothing
        for _ in range(2):
            with pytest.raises(SiteError, match=words):
                call(model)
        assert not torch.equal(model(X), model(X))
    with mc.active(model, on_unreached="warn"):
        if is_planned:
            model(X)
        with pytest.warns(RuntimeWarning, match=words):
            call(model)
        call(model)  # once is enough
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call(model)


def test_a_method_that_calls_the_forward_has_passes():
    """As generate of a decoder, which also draws tokens."""
    model = seeded(Encodes)
    with torch.no_grad():
        with mc.active(model, seed=0):
            y, _ = model.generate(X, 3)
        with mc.active(model, seed=0):
            x = X
            for _ in range(3):
                x = model(x)
    assert torch.equal(x, y)


def test_what_is_not_of_the_model_is_as_it_is():
    model, other = seeded(Encodes), torch.nn.Sequential(torch.nn.Dropout(0.5))
    with mc.active(model), torch.no_grad():
        model.lin(X)
        torch.nn.functional.dropout(X, 0.5)
        other(X)
        other.eval()(model(X))


@pytest.mark.parametrize("drop", [torch.nn.Dropout, td.nn.Dropout])
def test_what_is_passed_is_not_written_into(drop):
    """The second pass would drop what the first has left."""
    model = torch.nn.Sequential(drop(0.5, inplace=True)).eval()
    other = torch.nn.Sequential(drop(0.5)).eval()
    x, view = X.clone(), X.clone()
    with mc.active(model), mc.active(other):
        for _ in range(3):
            assert torch.equal(model(x), other(X))
            assert torch.equal(model(view[:]), other(X))
    assert torch.equal(x, X)
    assert torch.equal(view, X)


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace:UserWarning")
def test_in_a_compiled_function():
    """The compiler would have computed the passes without draws."""
    model = seeded(mlp, torch.nn.Dropout(0.5))

    def passes(x):
        with torch.no_grad(), mc.active(model):
            return torch.stack([model(x), model(x)])

    assert torch.equal(torch.compile(passes, backend="eager")(X), passes(X))


def test_a_model_put_in_training_within_the_scope():
    model = mlp().eval()
    with mc.active(model):
        model(X)
        model.train()
        with pytest.raises(ArgumentValueError, match="`model` to be a model in eval"):
            model(X)
    assert model.training
