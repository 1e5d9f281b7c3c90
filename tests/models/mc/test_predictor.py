"""`mc.MCDropout`: statistics of its passes, the same however they are computed."""

import collections
import copy
import pickle
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest
import torch

import torchdropout as td
from keyed_parts import Calls
from stochastic import Gated, InTraining, Last, Noise, encoder, limit, mlp, seeded, state_of
from torchdropout import mc
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, SiteError
from torchdropout.models.mc import _predictor

X = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
STRATEGIES = ("loop", "repeat", "expand", "auto")


def classifier():
    return seeded(mlp, torch.nn.Dropout(0.5))


def samples(model, x, passes, *more, seed=0, **options):
    """The outputs of the passes, one by one."""
    with torch.no_grad(), mc.active(model, seed=seed, **options):
        return torch.stack([model(x, *more) for _ in range(passes)])


def of_values(model, passes=6, **options):
    """A regression, of which each pass is kept."""
    return mc.MCDropout(model, passes, task="regression", keep_samples=True, **options)


def ways(made):
    """How the passes of each kind of batch are computed."""
    return [way.strategy for way in made._batchings.values()]


# --- Statistics ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "names"),
    [
        (mc.ClassificationStatistics, {}, ("prediction", "mutual_information", "variation_ratio")),
        (mc.RegressionStatistics, {"precision": 4.0}, ("variance",)),
    ],
)
def test_the_statistics_are_those_of_the_samples(kind, options, names):
    model, task = classifier(), "regression" if options else "classification"
    r = mc.MCDropout(model, 20, seed=3, task=task, keep_samples=True, **options)(X)
    statistics = kind(keep_samples=True, **options)
    expected = statistics.update(samples(model, X, 20, seed=3)).result()
    for name in ("mean", "samples", *names):
        torch.testing.assert_close(getattr(r, name), getattr(expected, name), **CLOSE)
    assert (r.n_samples, r.index.tolist()) == (20, [*range(6)])


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("max_batch", [None, 1, 13])
def test_the_same_however_it_is_computed(strategy, max_batch):
    model = classifier()
    made = mc.MCDropout(model, 7, strategy=strategy, max_batch=max_batch, keep_samples=True)
    made.plan(X)
    rows = []
    hook = model[3].register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    r = made(X)
    hook.remove()
    assert max(rows) <= (max_batch or 7 * len(X))
    torch.testing.assert_close(r.samples, samples(model, X, 7).softmax(-1), **CLOSE)
    for index in ([3, 4, 5, 0, 2], [5], [2]):
        part = made(X[index], index=torch.tensor(index) if len(index) == 1 else index)
        assert part.index.tolist() == index
        torch.testing.assert_close(part.samples, r.samples[:, index], **CLOSE)


def test_what_lies_before_the_first_draw_is_computed_once():
    rows, model = [], classifier()
    made = mc.MCDropout(model, 50)
    made(X)
    model[0].register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    made(X)
    assert rows == [6]


@pytest.mark.parametrize(
    ("make", "way"),
    [
        (classifier, "expand"),
        (lambda: seeded(encoder), "expand, from layers.0 on"),
        (lambda: torch.nn.Sequential(Gated()), "expand, from 0 on"),
        (lambda: seeded(Last, torch.nn.GRU), "expand, from rnn on"),
        (Noise, "repeat"),
        (lambda: td.nn.WeightDrop(torch.nn.Linear(8, 3), 0.5, names="weight"), "loop"),
    ],
    ids=["mlp", "encoder", "gated", "gru", "noise", "weights"],
)
def test_the_strategy_is_chosen_by_what_gives_the_same(make, way):
    model = make().eval()
    x = X[:, None].expand(6, 5, 8) if "layers" in way or "rnn" in way else X
    made = of_values(model)
    r = made(x)
    (found,) = made._batchings.values()
    assert found.strategy + (f", from {found.expansion.path} on" if found.expansion else "") == way
    torch.testing.assert_close(r.samples, samples(model, x, 6), **CLOSE)


class Block(torch.nn.Module):
    """A residual block, and a table that all inputs share."""

    def __init__(self):
        super().__init__()
        self.lin = torch.nn.Linear(8, 8)

    def forward(self, x, table):
        return x + torch.nn.functional.dropout(self.lin(x), 0.5, self.training) + table.sum(0)


class Residual(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.before, self.block, self.after = torch.nn.Linear(8, 8), Block(), Block()
        self.table = torch.nn.Parameter(torch.randn(6, 8))  # by chance as many rows as inputs

    def forward(self, x):
        return self.after(self.block(self.before(x), self.table), self.table)


def test_what_lies_before_the_block_of_the_first_draw_is_computed_once():
    """What is dropped is added to the block's input, so that the first draw is too late."""
    model = seeded(Residual)
    made = of_values(model, 20)
    before = state_of(model)
    r = made(X)
    assert state_of(model) == before
    torch.testing.assert_close(r.samples, samples(model, X, 20), **CLOSE)
    rows = collections.defaultdict(list)
    for name in ("before", "after"):
        part = getattr(model, name)
        part.register_forward_pre_hook(lambda _, args, name=name: rows[name].append(len(args[0])))
    made(X)
    assert rows == {"before": [6], "after": [120]}
    model.after.register_forward_pre_hook(lambda *_: 1 / 0)
    before = state_of(model)
    with pytest.raises(ZeroDivisionError):
        made(X)
    assert state_of(model) == before


class Pair(Residual):
    def forward(self, x):
        x = self.before(x)
        return self.block(x, self.table) - self.block(2 * x, self.table)


@pytest.mark.parametrize("make", [Residual, Pair])
def test_that_block_may_be_called_again(make):
    model = seeded(make)
    model.after = model.block
    made = of_values(model)
    torch.testing.assert_close(made(X).samples, samples(model, X, 6), **CLOSE)
    assert ways(made) == ["expand"]


class Heads(torch.nn.Module):
    """Two results of what lies before the draws, of which one is the prediction."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Linear(4, 8)
        self.first, self.second = (
            torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Linear(8, 2)) for _ in range(2)
        )

    def forward(self, x):
        x = self.body(x)
        return {"out": self.first(x), "aux": self.second(x)}


@pytest.mark.parametrize("size", [1, 2, 3])
def test_another_result_of_what_lies_before_the_draws(size):
    """Its draw has the rows of one pass, which may be a multiple of the passes by chance."""
    model, x = Heads().eval(), torch.randn(size, 4)
    made, loop, expand = (
        of_values(model, 4, output="out", strategy=way) for way in ("auto", "loop", "expand")
    )
    torch.testing.assert_close(made(x).samples, loop(x).samples)
    assert ways(made) == ["repeat"]
    with pytest.raises(SiteError, match=r"second\.0 #0 .* has the rows of one pass only"):
        expand(x)


class Skipped(torch.nn.Sequential):
    """Layers that are skipped in training."""

    def forward(self, x):
        for layer in self:
            if not (self.training and torch.rand([]) < 0.5):
                x = layer(x)
        return x


@pytest.mark.parametrize("drops", ["ours", "code"])
def test_layers_that_are_skipped(drops):
    """A plan has the draws of all of them, in order, whatever is skipped when it is made."""
    layers = [torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5)) for _ in range(6)]
    model = Skipped(*layers)
    if drops == "ours":
        model = torch.nn.Sequential(*(td.nn.LayerDrop(layer, 0.5) for layer in layers))
    made = of_values(model.eval(), 8)
    found = [site.path for site in made.plan(X[:, :4]).sites if site.kind == "dropout"]
    assert found == [path for path, m in model.named_modules() if type(m) is torch.nn.Dropout]
    assert len(made(X[:, :4]).samples.flatten(1).unique(dim=0)) == 8


def test_a_model_of_which_no_draw_is_reached():
    model = torch.nn.Sequential(InTraining(lambda x: torch.poisson(x.abs()))).eval()
    for strategy in ("auto", "loop"):
        made = mc.MCDropout(model, 4, strategy=strategy, task="regression", on_unreached="ignore")
        assert len(made(X)) == 6


def test_norms_that_refuse_one_input():
    norm = torch.nn.BatchNorm1d(8, track_running_stats=False)
    model = torch.nn.Sequential(norm, torch.nn.Linear(8, 8), torch.nn.Dropout(0.5)).eval()
    made = of_values(model)
    torch.testing.assert_close(made(X).samples, samples(model, X, 6))
    assert ways(made) == ["expand"]


class OfTokens(torch.nn.Module):
    """A mask of ones is ignored, as in models of transformers; others are looked up by row."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (torch.nn.Linear(8, 8) for _ in range(2))
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, x, mask):
        y = self.drop(self.first(x))
        if not mask.all():
            y = y * mask[torch.arange(len(y)), :, None]
        return self.second(y)


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_a_mask_that_was_ignored_so_far(dtype):
    """The passes that a draw makes have more rows than the mask has."""
    model, x = seeded(OfTokens), X[:, None].repeat(1, 5, 1)
    ones = torch.ones(6, 5, dtype=dtype)
    padded = (torch.arange(5) < torch.tensor([5, 5, 5, 2, 4, 5])[:, None]).to(dtype)
    made, expected = of_values(model), of_values(model, strategy="loop")
    for mask in (ones, padded, ones, padded):
        found = made(x, mask).samples
        torch.testing.assert_close(found, expected(x, mask).samples, **CLOSE)
    # The slower way stays, unless the kind of the batch says which mask it has.
    expected_ways = {"repeat"} if dtype.is_floating_point else {"expand", "repeat"}
    assert {*ways(made)} == expected_ways


def test_what_fails_with_many_rows_is_a_loop():
    """What two inputs have shown does not hold for all."""
    layers = [torch.nn.Dropout(0.5), torch.nn.Linear(8, 8), torch.nn.Dropout(0.5)]
    model = torch.nn.Sequential(*layers, torch.nn.Dropout(0.5)).eval()
    limit(model[1], 12, ZeroDivisionError, "")
    last = limit(model[3], 6, ZeroDivisionError, "")
    made = of_values(model, 20)
    torch.testing.assert_close(made(X).samples, samples(model, X, 20), **CLOSE)
    last.remove()
    limit(model[3], 5, ZeroDivisionError, "")
    with pytest.raises(ZeroDivisionError):
        made(X)


def test_a_strategy_that_the_model_does_not_allow():
    model = td.nn.WeightDrop(torch.nn.Linear(8, 3), 0.5, names="weight").eval()
    before = state_of(model)
    for strategy in ("repeat", "expand"):
        with pytest.raises(SiteError, match=r"`strategy` to be 'auto' or 'loop' for this model"):
            mc.MCDropout(model, 4, strategy=strategy)(X)
    assert state_of(model) == before


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_all_inputs_share_masks(strategy):
    model = torch.nn.Sequential(torch.nn.Dropout(0.5)).eval()
    found = of_values(model, masks="shared", strategy=strategy)(torch.ones(6, 8)).samples
    assert torch.equal(found, found[:, :1].expand(found.shape))
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize("strategy", ["loop", "auto"])
@pytest.mark.parametrize("drop", [torch.nn.Dropout, td.nn.Dropout1d])
def test_which_sites_and_other_rates(drop, strategy):
    model = torch.nn.Sequential(drop(0.5), Gated()).eval()
    found = of_values(model, 30, exclude="1", p=0.25, strategy=strategy)(torch.ones(20, 50, 1))
    assert set(found.samples.unique().tolist()) == {0.0, float(torch.tensor(1 / 0.75))}
    share = (found.samples == 0).double().mean()
    assert abs(share - 0.25) < 5 * (0.25 * 0.75 / found.samples.numel()) ** 0.5


def test_the_target_is_that_of_the_data_set():
    model, y = classifier(), torch.randn(6, 3)
    options = {"task": "regression", "precision": 2.0}
    whole = mc.MCDropout(model, 8, target=y, **options)(X)
    for most in (None, 4):
        made = mc.MCDropout(model, 8, target=y, max_batch=most, **options)
        for r in (made(X), made.predict(X.split(4))):
            torch.testing.assert_close(r.log_density, whole.log_density, **CLOSE)
        assert torch.allclose(made(X[[4]], index=4).log_density, whole.log_density[4], atol=1e-4)
    for target, index in ((y, 1), (torch.tensor(1.0), 0)):
        with pytest.raises(ArgumentValueError, match="`target` to be of each input, up to number"):
            mc.MCDropout(model, 8, target=target, **options)(X, index=index)


# --- Models --------------------------------------------------------------------------------------


class Named(torch.nn.Module):
    """Arguments by name, and an output of several tensors."""

    def __init__(self, wrap):
        super().__init__()
        self.inner = mlp(torch.nn.Dropout(0.5))
        self.wrap = wrap

    def forward(self, input_ids=None, attention_mask=None):
        return self.wrap(self.inner(input_ids * attention_mask[:, None]))


torch.utils._pytree.register_pytree_node(
    types.SimpleNamespace,
    lambda one: ([*vars(one).values()], [*vars(one)]),
    lambda values, names: types.SimpleNamespace(**dict(zip(names, values, strict=True))),
)


@pytest.mark.parametrize(
    ("wrap", "output"),
    [
        (lambda y: {"loss": y.sum(), "logits": y}, "logits"),
        (lambda y: (y, y + 1), 0),
        (lambda y: (y + 1, y), lambda out: out[1]),
        (lambda y: types.SimpleNamespace(logits=y, hidden=y + 1), "logits"),
    ],
    ids=["dict", "tuple", "function", "object"],
)
def test_arguments_by_name_and_outputs_of_several_tensors(wrap, output):
    model, plain = seeded(Named, wrap), seeded(Named, lambda y: y)
    batch = {"input_ids": X, "attention_mask": torch.ones(6)}
    r = mc.MCDropout(model, 5, output=output)(**batch)
    torch.testing.assert_close(r.mean, mc.MCDropout(plain, 5)(**batch).mean)
    for given, error in ((None, ArgumentTypeError), ("scores", ArgumentValueError)):
        with pytest.raises(error, match="`output` to be"):
            mc.MCDropout(model, 5, output=given)(**batch)


def test_inputs_along_another_dimension():
    model = torch.nn.LSTM(8, 4, 2, dropout=0.5).eval()
    x = torch.randn(5, 3, 8)
    r = of_values(model, 4, batch_dim=1, output=0)(x)
    assert len(r) == 3
    with torch.no_grad(), mc.active(model, batch_dim=1):
        whole = torch.stack([model(x)[0] for _ in range(4)]).movedim(2, 1)
    torch.testing.assert_close(r.samples, whole, **CLOSE)
    mean = Calls(lambda x: x.mean(0))
    first = torch.nn.Sequential(torch.nn.Dropout(0.5), mean).eval()
    for strategy in ("loop", "repeat", "expand"):
        r = mc.MCDropout(first, 4, batch_dim=1, strategy=strategy, task="regression")(x)
        assert r.mean.shape == (3, 8)
    with pytest.raises(SiteError, match=r"inputs along dimension 1 or 0, got one of shape .8,."):
        mc.MCDropout(torch.nn.Sequential(first, mean).eval(), 4, batch_dim=1)(x)


class OfPacked(torch.nn.Module):
    """A recurrent layer that is called with packed sequences."""

    def __init__(self, within, after):
        super().__init__()
        self.rnn = torch.nn.LSTM(8, 4, 2, dropout=within)
        self.drop = torch.nn.Dropout(after)

    def forward(self, packed):
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True)
        return self.drop(y.sum(1))


@pytest.mark.parametrize(
    ("rates", "strategy"),
    [((0.5, 0), "loop"), ((0.5, 0), "auto"), ((0, 0.5), "repeat"), ((0, 0.5), "expand")],
)
def test_packed_sequences(rates, strategy):
    model = seeded(OfPacked, *rates)
    packed = torch.nn.utils.rnn.pack_sequence(
        [torch.randn(n, 8) for n in (2, 5, 3, 1)], enforce_sorted=False
    )
    expected = samples(model, packed, 6)
    assert not torch.equal(expected[0], expected[1])
    for most in (None, 3):
        made = of_values(model, strategy=strategy, max_batch=most)
        torch.testing.assert_close(made(packed).samples, expected, **CLOSE)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_model_that_draws_no_longer(strategy):
    model = classifier()
    made = mc.MCDropout(model, 5, strategy=strategy)
    made(X)
    model[2].p = 0.0
    with pytest.raises(SiteError, match="draws as it did when it was planned, got no draw"):
        made(X)


# --- Data sets -----------------------------------------------------------------------------------


def loaders():
    data = torch.utils.data.TensorDataset(X, torch.arange(6))
    load = torch.utils.data.DataLoader
    return {
        "tensors": X.split(4),
        "tuples": load(data, batch_size=4),
        "loader": load(X, batch_size=2),
        "mappings": [{"input": x} for x in X.split(3)],
        "mappings and labels": [[{"input": x}, torch.zeros(3)] for x in X.split(3)],
    }


@pytest.mark.parametrize("name", loaders())
def test_loaders(name):
    made = mc.MCDropout(classifier(), 5)
    loader = loaders()[name]
    whole = made(X)
    r = made.predict(loader)
    assert torch.equal(r.index, whole.index)
    torch.testing.assert_close(r.mean, whole.mean)
    parts = [*made.stream(loader)]
    assert sum(map(len, parts)) == 6
    assert len(parts) > 1


class Elsewhere(torch.Tensor):
    """A tensor on another device than the model's, of which a copy on the CPU can be made."""

    @staticmethod
    def __new__(cls, x):
        return torch.Tensor._make_wrapper_subclass(cls, x.shape, dtype=x.dtype, device="meta")

    def __init__(self, x):
        self.x = x

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        assert func is torch.ops.aten._to_copy.default
        return args[0].x.to(kwargs["device"])


def test_batches_of_a_loader_go_to_the_device_of_the_model():
    made = mc.MCDropout(classifier(), 5)
    for loader in loaders().values():
        moved = torch.utils._pytree.tree_map_only(torch.Tensor, Elsewhere, [*loader])
        torch.testing.assert_close(made.predict(moved).mean, made(X).mean)


@pytest.mark.parametrize("where", ["meta", "two"])
def test_batches_stay_where_they_are_if_nothing_says_where_the_model_is(where):
    """As with weights that are loaded when they are used, and with a model on two devices."""
    model = torch.nn.Sequential(torch.nn.Dropout(0.5)).eval()
    for name, device in (("far", "meta"), ("near", "cpu" if where == "two" else "meta")):
        model.register_parameter(name, torch.nn.Parameter(torch.ones(1, device=device)))
    assert mc.MCDropout(model, 5).predict([X]).mean.device.type == "cpu"


def test_progress(capsys, monkeypatch):
    shown = []
    module = types.ModuleType("tqdm.auto")
    module.tqdm = lambda loader: shown.append(loader) or loader
    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", module)
    made = mc.MCDropout(classifier(), 2)
    batches = X.split(3)
    made.predict(batches, progress=True)
    assert shown == [batches]
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ModuleNotFoundError, match="progress=True needs tqdm: pip install tqdm"):
        made.predict(batches, progress=True)


def test_probabilities_as_an_array():
    made = mc.MCDropout(classifier(), 5)
    frame = types.SimpleNamespace(__array__=X.numpy)
    for given in (X, X.numpy(), X.numpy().astype("float64"), X.tolist(), frame):
        p = made.predict_proba(given)
        assert isinstance(p, numpy.ndarray)
        assert p.shape == (6, 3)
        numpy.testing.assert_allclose(p, made(X).mean.numpy(), rtol=1e-6)
    for given in (None, ["a"], "a", [[1.0], [1.0, 2.0]]):
        with pytest.raises(ArgumentTypeError, match="`X` to be a tensor, an array or sequences of"):
            made.predict_proba(given)
    with pytest.raises(ArgumentValueError, match="`task` to be 'classification' for probabilities"):
        of_values(classifier()).predict_proba(X)


def test_the_plan_is_made_once():
    made = mc.MCDropout(classifier(), 3)
    plan = made.plan(X)
    made(X)
    assert made.plan() is plan


# --- Nothing left --------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_arguments_are_as_before(strategy):
    """A model that writes into its input would meet what the last pass left there."""
    drops = [torch.nn.Dropout(0.5, inplace=inplace) for inplace in (True, False)]
    models = [torch.nn.Sequential(drop, torch.nn.Flatten()).eval() for drop in drops]
    x = X.clone()
    found, expected = (of_values(model, strategy=strategy)(x).samples for model in models)
    assert torch.equal(x, X)
    assert torch.equal(found, expected)
    shifts = torch.nn.Sequential(Calls(lambda x: x.add_(1)), torch.nn.Dropout(0.5)).eval()
    r = of_values(shifts, strategy=strategy)(x)
    assert torch.equal(x, X)
    assert set((r.samples / (X + 1)).round(decimals=2).unique().tolist()) == {0.0, 2.0}


def test_a_cache_among_the_arguments_is_as_before():
    def forward(drop, x, cache):
        cache.keys.append(x)
        return drop(torch.cat(cache.keys, 1))

    model, cache = Calls(forward, torch.nn.Dropout(0.5)).eval(), types.SimpleNamespace(keys=[])
    r = mc.MCDropout(model, 3, task="regression", strategy="loop")(X, cache=cache)
    assert r.mean.shape == X.shape
    assert cache.keys == []
    with torch.no_grad(), mc.active(model):
        assert model(X, cache).shape == (6, 8)
        assert model(X, cache).shape == (6, 16)
    assert len(cache.keys) == 2


def test_what_has_no_copy_is_given_as_it_is():
    seen = []

    def forward(x, other, lock):
        seen.append(other is x)
        with lock:
            return torch.nn.functional.dropout(x, 0.5, False)

    made = mc.MCDropout(Calls(forward).eval(), 3, task="regression", strategy="loop")
    assert made(X, X, lock=threading.Lock()).mean.shape == (6, 8)
    assert seen[-1]


def test_threads_share_a_model():
    model = torch.nn.Sequential(Gated(), torch.nn.Linear(8, 3)).eval()
    before = state_of(model)
    made = [mc.MCDropout(model, 10, seed=seed) for seed in (0, 1)]
    expected = [one(X).mean for one in made]

    def predict(which):
        mc.MCDropout(model, 10, seed=which).plan(X)
        return made[which](X).mean

    with ThreadPoolExecutor(6) as pool:
        found = [*pool.map(predict, [0, 1] * 3)]
    assert all(map(torch.equal, found, expected * 3))
    assert state_of(model) == before


def test_copies_predict_the_same():
    made = mc.MCDropout(classifier(), 5)
    expected = made(X).mean
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other.model is not made.model
        assert torch.equal(other(X).mean, expected)


@pytest.mark.parametrize(
    ("error", "strategy"),
    [(ZeroDivisionError("oh"), "auto"), (KeyboardInterrupt(), "repeat"), (KeyError(), "loop")],
)
def test_however_it_ends_everything_is_as_before(error, strategy):
    calls = []

    def fail(module, args):
        calls.append(1)
        if len(calls) == 3:
            raise error

    model = torch.nn.Sequential(Gated(), torch.nn.Linear(8, 3)).eval()
    made = mc.MCDropout(model, 7, strategy=strategy, max_batch=6)
    made.plan(X)
    model[1].register_forward_pre_hook(fail)
    before = state_of(model)
    with pytest.raises(type(error)):
        made(X)
    assert state_of(model) == before


@pytest.mark.parametrize(
    ("strategy", "error", "text"),
    [
        ("repeat", torch.OutOfMemoryError, "CUDA out of memory."),
        ("expand", RuntimeError, "DefaultCPUAllocator: not enough memory: you tried to allocate"),
        ("auto", MemoryError, ""),
    ],
)
def test_out_of_memory_halves_the_passes_of_a_forward(error, text, strategy):
    model = classifier()
    made = mc.MCDropout(model, 16, strategy=strategy, keep_samples=True)
    expected = made(X)
    rows = []
    handles = [
        model[3].register_forward_pre_hook(lambda _, args: rows.append(len(args[0]))),
        limit(model[3], 30, error, text),
    ]
    before = state_of(model)
    with pytest.warns(RuntimeWarning) as said:
        r = made(X)
    assert {one.filename for one in said} == {__file__}
    assert [str(one.message) for one in said] == [
        "Out of memory with 16 passes in a forward: continuing with 8.",
        "Out of memory with 8 passes in a forward: continuing with 4.",
    ]
    assert rows == [96, 48, 24, 24, 24, 24]
    torch.testing.assert_close(r.samples, expected.samples, **CLOSE)
    made(X)  # without a warning: it is remembered
    assert state_of(model) == before
    for handle in handles:
        handle.remove()
    limit(model[3], 0, error, text)  # nor with one pass of one input
    with pytest.raises(error), pytest.warns(RuntimeWarning, match="continuing with"):
        made(X)


@pytest.mark.parametrize(
    ("strategy", "task", "index"),
    [
        ("loop", "classification", 3),
        ("repeat", "regression", 3),
        ("expand", "regression", [9, 8, 1, 2, 3, 4]),
        ("auto", "classification", [9, 8, 1, 2, 3, 4]),
    ],
)
def test_out_of_memory_with_one_pass_divides_the_batch(strategy, index, task):
    options = {"strategy": strategy, "task": task, "keep_samples": True}
    model = classifier()
    expected = mc.MCDropout(model, 4, **options)(X, index=index)
    made = mc.MCDropout(model, 4, **options)
    made.plan(X)
    limit(model[3], 2)  # neither passes of three inputs nor one pass
    before = state_of(model)
    with pytest.warns(RuntimeWarning) as said:
        r = made(X, index=index)
    assert {one.filename for one in said} == {__file__}
    texts = [str(one.message) for one in said]
    most = 6 if index == 3 else 4  # consecutive numbers
    assert [text for text in texts if "inputs" in text] == [
        f"Out of memory with {n} inputs in a forward: continuing with {n // 2}."
        for n in ([6, 3] if most == 6 else [4])
    ]
    torch.testing.assert_close(r.samples, expected.samples, **CLOSE)
    torch.testing.assert_close(r.variance, expected.variance, **CLOSE)
    assert torch.equal(r.index, expected.index)
    assert state_of(model) == before
    made(X, index=index)  # without a warning: it is remembered


@pytest.mark.parametrize("strategy", ["expand", "repeat"])
def test_a_forward_has_as_many_passes_as_its_largest_result_has_room_for(monkeypatch, strategy):
    class Wide(torch.nn.Module):
        """What is largest is the result of no module and of no draw."""

        def forward(self, x):
            y = torch.nn.functional.dropout(x, 0.5, self.training)
            return (y[:, :, None] * torch.ones(64)).mean(-1)

    monkeypatch.setattr(_predictor, "_ELEMENTS_CPU", 6 * 8 * 64 * 5)
    made = mc.MCDropout(Wide().eval(), 12, strategy=strategy, task="regression")
    made(X)
    # 12 in three chunks of at most 5
    assert [how.passes for how in made._batchings.values()] == [4]


# --- Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_samples": 0}, ArgumentValueError, "`n_samples` to be 1 or more, got n_samples=0"),
        ({"n_samples": None}, ArgumentTypeError, "1 or more"),
        ({"n_samples": 2.0}, ArgumentTypeError, "`n_samples` to be an integer, 1 or more"),
        ({"max_batch": 0}, ArgumentValueError, "`max_batch` to be 1 or more"),
        ({"max_batch": "all"}, ArgumentTypeError, "`max_batch` to be an integer"),
        ({"task": "ranking"}, ArgumentValueError, "`task` to be 'classification' or 'regression'"),
        ({"strategy": "vmap"}, ArgumentValueError, "`strategy` to be 'auto' or 'expand' or"),
        ({"keep_samples": 1}, ArgumentTypeError, "`keep_samples` to be"),
        ({"outputs": "scores"}, ArgumentValueError, "`outputs` to be 'logits' or 'probabilities'"),
        ({"precision": 1.0}, ArgumentTypeError, r"those of ClassificationStatistics for task='cla"),
    ],
)
def test_bad_arguments(options, error, message):
    """Those that `mc.active` has too are in test_active.py."""
    with pytest.raises(error, match=message):
        mc.MCDropout(mlp().eval(), **options)


def test_bad_models():
    """Further models of which no plan is made are in test_plan.py."""
    made = mc.MCDropout(mlp().eval(), 2)
    made.model.train()
    for call in (made, made.plan):
        with pytest.raises(ArgumentValueError, match="`model` to be a model in eval"):
            call(X)
    for p in (0, 0.0, {"*": 0.0}):
        with pytest.raises(ArgumentValueError, match="a p > 0, got p = 0 at all 1 sites"):
            mc.MCDropout(mlp().eval(), p=p)(X)
    with pytest.raises(ArgumentValueError, match="`exclude` to be patterns of paths that draw"):
        mc.MCDropout(mlp().eval(), exclude="head.*")(X)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([0, 1], "`index` to have one number for each of 6 inputs"),
        (2**63 - 6, "a batch whose mask indices lie in"),
    ],
)
def test_bad_indices(index, message):
    with pytest.raises(ArgumentValueError, match=message):
        mc.MCDropout(mlp().eval(), 2)(X, index=index)


@pytest.mark.parametrize("of", [numpy.int64, numpy.uint8])
def test_any_type_of_integer(of):
    model = classifier()
    made = mc.MCDropout(model, of(3), seed=of(2), max_batch=of(6), keep_samples=True)
    expected = mc.MCDropout(model, 3, seed=2, max_batch=6, keep_samples=True)(X, index=5).samples
    each = [of(5 + i) for i in range(6)]
    for index in (of(5), each, numpy.array(each)):
        assert torch.equal(made(X, index=index).samples, expected)
    with torch.no_grad(), mc.active(model, seed=of(2), index=of(5), first=of(1)):
        torch.testing.assert_close(model(X).softmax(-1), expected[1], **CLOSE)


def test_bad_batches():
    made = mc.MCDropout(mlp().eval(), 2)
    for call in (lambda: made(), lambda: made("text"), lambda: made(x=3), lambda: made(X[:0])):
        with pytest.raises(ArgumentValueError, match="`args` to be a tensor among them"):
            call()
    for item in ("text", 3, (), ["a", X], None):
        with pytest.raises(ArgumentTypeError, match="`loader` to be one of tensors, mappings or"):
            made.predict([item])
    with pytest.raises(ArgumentValueError, match=r"give the arguments in a mapping as \*\*mapping"):
        made(collections.UserDict(input=X))  # as transformers' BatchEncoding
    with pytest.raises(ArgumentValueError, match="`loader` to be an iterable of one batch or more"):
        made.predict([])
    for batch in (X, {"input": X}):
        with pytest.raises(ArgumentTypeError, match="the predictor itself is called with one"):
            made.predict(batch)
    made(X)
    with pytest.raises(ArgumentValueError, match="one or more inputs along dimension 0"):
        made.predict([X, X[:0]])
    with pytest.raises(ArgumentTypeError, match="`progress` to be"):
        made.predict([X], progress="bar")
    with pytest.raises(ArgumentTypeError, match="`loader` to be"):
        made.predict(3)
    with pytest.raises(ArgumentValueError, match="more than once: give each batch its `index="):
        mc.Result.cat([made(X), made(X)])


@pytest.mark.parametrize(
    "module",
    [
        InTraining(lambda x: x * td.keep_mask(x.shape, 0.5) * 2),
        td.nn.LSTM(8, 4, 2, dropout=0.5),
        td.nn.LayerDrop(torch.nn.Linear(8, 8), 0.5),
    ],
    ids=lambda module: type(module).__name__,
)
def test_a_rate_that_a_draw_does_not_take_is_refused(module):
    """It would have been ignored, and the plan would have said that it holds."""
    with pytest.raises(td.errors.ArgumentValueError, match="Expected `p` for sites that take a"):
        mc.plan(module.eval(), torch.ones(3, 5, 8), p=0.1, batch_dim=1)


# --- Arguments that all inputs share -------------------------------------------------------------


class Reads(torch.nn.Module):
    """All inputs read a table; dropout of it, too, if it is asked for."""

    def __init__(self, read, both=False):
        super().__init__()
        self.drop = torch.nn.Dropout(0.5)
        self.other = torch.nn.Dropout(0.5)
        self.read = read
        self.both = both

    def forward(self, x, table):
        return self.read(self.drop(x), self.other(table) if self.both else table)


READS = {"product": lambda x, table: x @ table.T, "mean": lambda x, table: x + table.mean(0)}
TABLE = torch.randn(6, 8, generator=torch.Generator().manual_seed(2))


@pytest.mark.integration
@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("both", [False, True])
def test_a_table_of_as_many_rows_as_inputs(name, both):
    model = Reads(READS[name], both).eval()
    message = r"`shared` to be \('table',\) if all inputs share that argument, \('x',\) if they"
    with pytest.raises(ArgumentValueError, match=message):
        of_values(model)(X, table=TABLE)
    expected = samples(model, X, 6, TABLE, shared=("table",))
    for strategy in ("auto", "loop") if both else STRATEGIES:  # the table is dropped once a pass
        for max_batch in (None, 1, 4, 13):
            made = of_values(model, shared=["table"], strategy=strategy, max_batch=max_batch)
            torch.testing.assert_close(made(X, TABLE).samples, expected, **CLOSE)
            order = [0, 1, 3, 4, 5]
            found = made(X[order], table=TABLE, index=order).samples
            torch.testing.assert_close(found, expected[:, order], **CLOSE)


@pytest.mark.parametrize("sizes", [(7, 5), (1, 5)])
def test_a_mask_of_positions_is_not_divided(sizes):
    """The forward that fails shows it, also where its size is that of the batch."""
    model = encoder().eval()
    mask = torch.nn.Transformer.generate_square_subsequent_mask(5)
    x = torch.randn(sum(sizes), 5, 8)
    made = of_values(model, max_batch=20)
    parts = made.predict({"src": part, "mask": mask} for part in x.split(sizes)).samples
    torch.testing.assert_close(parts, samples(model, x, 6, mask), **CLOSE)


def test_an_argument_of_one_row_with_one_input():
    """It is taken for that input's, until a call with several shows that it is not."""
    model = Reads(torch.add, both=True).eval()
    table = torch.ones(1, 8)
    made = of_values(model)
    made(X[1:2], table, index=1)
    with pytest.raises(SiteError, match=r"got other #0 \(dropout\), which lies elsewhere"):
        made(X, table)
    with torch.no_grad(), mc.active(model):
        model(X[1:2], table)
        with pytest.raises(SiteError, match=r"Pass `shared` with the names"):
            model(X, table)
    made = of_values(model, shared=("table",))
    one = made(X[1:2], table, index=1).samples
    torch.testing.assert_close(one, made(X, table).samples[:, 1:2], **CLOSE)
    made = of_values(classifier())  # nothing to take for it
    plan, one = made.plan(X[:1]), made(X[:1]).samples
    assert made.plan() is plan
    torch.testing.assert_close(one, made(X[:2]).samples[:, :1], **CLOSE)
    assert made.plan() is not plan


def test_a_plan_names_an_argument_that_may_be_shared():
    model = Reads(READS["product"]).eval()
    plan = mc.plan(model, X, TABLE)
    assert plan.undecided == ("table",)
    assert "Nothing shows whether the argument 'table' has a row" in str(plan)
    for shared in ((), ("table",)):
        assert mc.plan(model, X, TABLE, shared=shared).undecided == ()
    with pytest.raises(ArgumentTypeError, match="`shared` to be names"):
        mc.plan(model, X, shared="x")


class TimeFirst(torch.nn.Module):
    """Its inputs alternate along the dimension into which they are folded."""

    def __init__(self):
        super().__init__()
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, x):
        steps = x.transpose(0, 1)
        return self.drop(steps.reshape(-1, x.shape[2])).view_as(steps).transpose(0, 1)


class Ones(TimeFirst):
    """Nothing shows the order of its draws."""

    def forward(self, x):
        return x * super().forward(torch.ones_like(x))


@pytest.mark.parametrize("strategy", ["loop", "auto"])
@pytest.mark.parametrize("make", [TimeFirst, Ones])
def test_inputs_that_alternate_as_the_caller_says(make, strategy):
    """Their masks are those of a model in which nothing is folded."""
    model, dims = make().eval(), {"drop": (0, "alternating")}
    x = torch.randn(5, 3, 4)
    plain = seeded(lambda: torch.nn.ModuleDict({"drop": torch.nn.Dropout(0.5)}))
    plain.forward = lambda x: plain["drop"](x)
    expected = of_values(plain)(x).samples
    (site,) = mc.plan(model, x, batch_dims=dims).sites
    assert (site.reached, site.batched) == ("its call", False)
    made = of_values(model, batch_dims=dims, strategy=strategy)
    assert torch.equal(made(x).samples, expected)
    with pytest.raises(SiteError, match=r"as the inputs alternate in drop #0 \(dropout\)"):
        of_values(model, batch_dims=dims, strategy="repeat")(x)
    assert torch.equal(made(x[2:], index=2).samples, expected[:, 2:])
    assert torch.equal(samples(model, x[2:], 6, index=2, batch_dims=dims), expected[:, 2:])
