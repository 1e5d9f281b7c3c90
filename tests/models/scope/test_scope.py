"""A scope leaves nothing behind, refuses what it cannot do, and has the keys of the contract."""

import contextlib
import copy
import gc
import hashlib
import io
import pickle
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as torch_F
from torch.optim.swa_utils import AveragedModel

import torchdropout as td
from keyed_parts import SCOPE, Calls, assert_refused, drawn
from stochastic import limit
from torchdropout import functional as F
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, SiteError

X = torch.ones(8, 12)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(12, 12), nn.Dropout(0.4), nn.MultiheadAttention(12, 2))[:2]


# --- The keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seed", "step", "path", "number", "key"),
    [
        (0, 0, "", 0, (2061954838759058738, 878367144622242087)),
        (0, 1, "blocks.0.drop", 0, (7803501721980906349, 731791632814801882)),
        (2**64 - 1, 2**64 - 1, "blocks.0.drop", 1, (13718599656129974086, 131555938942742343)),
    ],
)
def test_known_keys(seed, step, path, number, key):
    """They are those of section 8 of the contract."""
    site = td.models.scope.SiteId(path, number)
    digest = int(hashlib.sha256(f"{path}#{number}".encode()).hexdigest(), 16)
    folded = td.Key(seed).fold_in(step)
    assert td.Key(*key) == td.Key(folded.seed, (digest >> 196) ^ folded.stream)
    for given in (seed, td.Key(seed)):
        assert td.keyed(nn.Identity(), seed=given, step=step).key_of(site) == td.Key(*key)


def test_the_index_is_that_of_the_whole_batch():
    """Recomputed from the contract, for samples in the second dimension."""
    model = Calls(lambda x: F.keep_mask((3, x.shape[0], 2, 5), 0.5))
    scope = td.keyed(model, batch=(40, 64), **SCOPE)
    with scope:
        found = model(X)
    layout = td.MaskLayout(40 * 30, (10, 30, 5, 1))
    key = scope.key_of(td.models.scope.SiteId("", 0))
    assert torch.equal(found, td.keep_mask((3, 8, 2, 5), 0.5, key=key, layout=layout))


def test_a_module_that_is_called_twice_goes_on_counting():
    model = Calls(lambda drop, x: torch.stack((drop(x), drop(x)), 1), nn.Dropout(0.5))
    sites = td.find_sites(model, X)
    assert [str(site) for site in sites] == ["inner.0 #0", "inner.0 #1"]
    assert repr(sites).splitlines()[1] == "inner.0 #1: dropout, p=0.5"
    y = drawn(model, X)
    assert not torch.equal(y[:, 0], y[:, 1])


@pytest.mark.parametrize(
    ("kind", "name", "wraps"),
    [
        ("OptimizedModule", "_orig_mod", True),
        ("FullyShardedDataParallel", "_fsdp_wrapped_module", True),
        ("CheckpointWrapper", "_checkpoint_wrapped_module", True),
        ("DistributedDataParallel", "module", True),
        ("AveragedModel", "module", True),
        ("DataParallel", "net", False),
        ("Mine", "module", False),
    ],
)
def test_a_wrapper_of_torch_has_no_name_of_its_own(kind, name, wraps):
    forward = {"forward": lambda self, x: getattr(self, name)(x)}
    wrapper = type(kind, (nn.Module,), forward)()
    wrapper.add_module(name, nn.Sequential(nn.Dropout(0.5)))
    (site,) = td.find_sites(nn.Sequential(wrapper), X)
    assert site.path == ("0.0" if wraps else f"0.{name}.0")


# --- Nothing is left -----------------------------------------------------------------------------


def traces(model):
    hooks = [
        [
            list(getattr(m, name))
            for name in td._core._torch.HOOKS
            if hasattr(getattr(m, name), "__len__")
        ]
        for m in model.modules()
    ]
    flags = [m.training for m in model.modules()]
    modes = len(td._core._torch.function_modes()[0])
    return hooks, flags, modes, torch.get_rng_state().tolist()


@pytest.mark.parametrize("error", [None, ZeroDivisionError, KeyboardInterrupt])
def test_nothing_is_left(error):
    def fail(x):
        y = torch_F.dropout(x, 0.5)
        if error is not None and torch.is_grad_enabled():
            raise error
        return y

    norm = nn.BatchNorm1d(12)
    model = nn.Sequential(nn.Linear(12, 12), norm, nn.Dropout(0.5), Calls(fail))
    model[0].register_forward_hook(lambda *_: None)
    model[2].eval()
    before = traces(model)
    with torch.no_grad(), td.keyed(model, **SCOPE):
        model(X)  # the sites are found
    statistics = norm.running_mean.clone()
    for _ in range(2):
        expected = contextlib.nullcontext() if error is None else pytest.raises(error)
        with expected, td.keyed(model, **SCOPE):
            model(X)
        assert traces(model) == before
    assert not torch.equal(norm.running_mean, statistics)  # a forward in training, as without
    assert int(norm.num_batches_tracked) == 3
    with pytest.raises(ZeroDivisionError), td.keyed(model, **SCOPE):
        raise ZeroDivisionError
    assert traces(model) == before


def test_a_model_is_not_kept_alive():
    model = net()
    drawn(model, X)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    "scope", [lambda model: td.keyed(model, **SCOPE), lambda model: td.mc.active(model.eval())]
)
def test_an_argument_is_not_kept_alive_after_its_forward(scope):
    model, x = net(), X.clone()
    with scope(model):
        model(x)
        gone = weakref.ref(x)
        del x
        assert gone() is None


def test_a_scope_that_cannot_begin_leaves_nothing(monkeypatch):
    model = net()
    before, scope = traces(model), td.keyed(model, **SCOPE)
    monkeypatch.setattr(scope._watcher, "observe", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        scope.__enter__()
    assert traces(model) == before
    monkeypatch.undo()
    with scope:
        model(X)


def saved(model):
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize(
    "again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), saved, AveragedModel]
)
def test_a_copy_within_a_scope_is_free_of_it(again):
    """Such as that of the best model so far."""
    model = nn.Sequential(net(), td.nn.LayerDrop(nn.Linear(12, 12), 0.5))
    with td.keyed(model, **SCOPE):
        expected = model(X)
        other = again(model)
        assert not torch.equal(other(X), expected)  # by torch's generator
        twice = again(again(model))
    assert all(not any(hooks) for hooks in traces(other)[0])
    found = [twice(X) for _ in range(3)]
    assert not torch.equal(found[0], found[1])
    assert torch.equal(other.eval()(X), model.eval()(X))
    assert torch.equal(drawn(other.train(), X), expected)


def test_a_copy_whose_forward_fails_says_so():
    model = nn.Sequential(Fails({9}))
    with td.keyed(model, **SCOPE):
        model(X)
        other = copy.deepcopy(model)
    other[0].at = {other[0].calls + 1}
    with pytest.raises(ZeroDivisionError):
        other(X)
    assert all(not any(hooks) for hooks in traces(other)[0])


def test_the_hooks_of_a_file_keep_their_numbers(monkeypatch):
    """A hook that another process registers must not get one of them, and with it its arguments."""
    model = net()
    with td.keyed(model, **SCOPE):
        file = pickle.dumps(model)
    handle = torch.utils.hooks.RemovableHandle
    before = handle.next_id
    with monkeypatch.context() as patch:
        patch.setattr(handle, "next_id", 0)
        other = pickle.loads(file)
        assert handle.next_id >= before
    other(X)


def test_draws_outside_the_model_are_torchs():
    model = net()
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with td.keyed(model, **SCOPE):
        assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("seed", [0, 1])
def test_what_scripts_do_with_generators_is_of_no_effect(seed):
    """So it can be deleted: a tracker as Megatron's, seeds that depend on the rank."""
    states = [torch.Generator().manual_seed(seed).get_state()]

    def with_generators(drop, x):
        before = torch.get_rng_state()
        torch.set_rng_state(states[-1])
        y = torch_F.dropout(drop(x), 0.3)
        states.append(torch.get_rng_state())
        torch.set_rng_state(before)
        return y

    expected = drawn(Calls(lambda drop, x: torch_F.dropout(drop(x), 0.3), nn.Dropout(0.5)), X)
    torch.manual_seed(1000 * seed)
    assert torch.equal(drawn(Calls(with_generators, nn.Dropout(0.5)), X), expected)
    assert torch.equal(states[-1], states[0])


# --- What is refused -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": 3}, ArgumentTypeError, "`model` to be a module"),
        ({"seed": -1}, ArgumentValueError, "`seed`"),
        ({"seed": 2**64}, ArgumentValueError, "`seed`"),
        ({"seed": 0.5}, ArgumentTypeError, "`seed`"),
        ({"step": -1}, ArgumentValueError, "`step`"),
        ({"step": "1"}, ArgumentTypeError, "`step`"),
        ({"batch": 3}, ArgumentTypeError, "`batch`"),
        ({"batch": (0.0, 3)}, ArgumentTypeError, "`batch`"),
        ({"batch": (0, True)}, ArgumentTypeError, "`batch`"),
        ({"batch": [0, 3]}, ArgumentTypeError, "`batch`"),
        ({"batch": (0, 1, 2)}, ArgumentTypeError, "`batch`"),
        ({"batch": (3, 3)}, ArgumentValueError, "`batch`"),
        ({"batch": (-1, 3)}, ArgumentValueError, "`batch`"),
        ({"batch": (2**63, 2**64)}, ArgumentValueError, r"< total <= 2\*\*63"),
        ({"batch": "ranks"}, ArgumentValueError, "`batch` to be 'distributed' if it is a string"),
        ({"batch": "distributed"}, ArgumentValueError, "None without torch.distributed.init_pro"),
        ({"sequence": (0, 2**63 + 1)}, ArgumentValueError, "`sequence`"),
        ({"sequence": (4, 3)}, ArgumentValueError, "`sequence`"),
        ({"batch_dim": "x"}, ArgumentTypeError, "`batch_dim` to be an integer"),
        ({"sequence_dim": "x"}, ArgumentTypeError, "`sequence_dim` to be an integer"),
        ({"sites": {}}, ArgumentTypeError, "`sites`"),
        ({"on_unreached": "raises"}, ArgumentValueError, "`on_unreached`"),
    ],
)
def test_bad_arguments(change, error, message):
    given = {"model": net(), "seed": 0, **change}
    with pytest.raises(error, match=message):
        td.keyed(given.pop("model"), **given)


class Fails(nn.Dropout):
    """A dropout whose forward fails at the calls of these numbers, after it has drawn."""

    def __init__(self, at, result=lambda y: y):
        super().__init__(0.5)
        self.calls, self.at, self.result = 0, at, result

    def forward(self, x):
        self.calls += 1
        y = super().forward(x)
        if self.calls in self.at:
            raise ZeroDivisionError
        return self.result(y)


@pytest.mark.integration
@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: torch.compile(m, backend="eager")])
@pytest.mark.parametrize("at", [1, 2, 3, 5, 6, 7, 8])
def test_a_forward_that_failed_is_tried_again(wrap, at):
    """It has the same samples: five calls find the sites, two halves follow."""
    torch._dynamo.reset()
    model = nn.Sequential(Fails(()))
    whole = drawn(model, X)
    model[0] = Fails({at})
    given = wrap(model)
    state = torch.get_rng_state()
    found, failed = [], 0
    with td.keyed(given, batch=(0, 8), **SCOPE):
        for x in X.split(4):
            try:
                found.append(given(x))
            except ZeroDivisionError:
                failed += 1
                found.append(given(x))
    assert failed == (1 if at < 8 else 0)
    assert torch.equal(torch.cat(found), whole)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_forward_that_returns_nothing_counts():
    """Its result is that of one that failed, for a hook that is always called."""
    found = []
    model = Fails((), result=found.append)
    with td.keyed(model, batch=(0, 8), **SCOPE):
        for x in X.split(4):
            model(x)
    drawn(model, X)
    assert torch.equal(torch.cat(found[-3:-1]), found[-1])


def test_a_forward_beyond_the_batch_counts_no_samples():
    model = net()
    whole = drawn(model, X)
    with td.keyed(model, batch=(0, 8), **SCOPE):
        first = model(X[:5])
        with pytest.raises(ArgumentValueError, match="got 4 samples from sample 5"):
            model(X[4:])
        found = torch.cat((first, model(X[5:])))
    assert torch.equal(found == 0, whole == 0)


def test_a_scope_in_a_scope_of_the_same_model():
    model = net()
    for other in (model, torch.compile(model, backend="eager")):
        with td.keyed(model, seed=0):
            assert_refused("no scope of this model", other, X, error=ArgumentValueError)
            model(X)


def test_a_draw_that_was_not_there_when_sites_were_found():
    assert len(td.find_sites(net(), X)) == 1
    assert len(td.find_sites(net().eval(), X)) == 0
    model = Calls(lambda x: torch_F.dropout(x, 0.5) if len(x) > 4 else x)
    assert_refused(r"find_sites\(model", model, X)


class SkipsLayers(nn.Sequential):
    """Skips layers as models of transformers do: by a number that all samples share."""

    def __init__(self):
        super().__init__(*(nn.Dropout(0.1) for _ in range(6)))

    def forward(self, x):
        for layer in self:
            if torch.rand([]) < 0.5:
                x = layer(x)
        return x


@pytest.mark.parametrize("given", [False, True])
def test_a_draw_that_decides_whether_others_come(given):
    """The sites that a probe has not seen are found when they first draw."""
    seen = set()
    for step in range(4):
        options = {"sites": td.find_sites(SkipsLayers(), X) if given else None, "seed": 1}
        whole = drawn(SkipsLayers(), X, step=step, **options)
        model = SkipsLayers()  # of which nothing is known yet
        with td.keyed(model, step=step, batch=(0, 8), **options):
            assert torch.equal(torch.cat([model(x) for x in X.split(4)]), whole)
        found = drawn(model, X[4:], step=step + 1, batch=(4, 8), **options)
        other = drawn(SkipsLayers(), X[4:], seed=1, step=step + 1, batch=(4, 8))
        assert torch.equal(other, found)
        seen.add(int((whole == 0).sum() > 0) + int(whole.max() > 1.2))
    assert len(seen) > 1


def test_sites_that_are_found_later_are_kept():
    model, calls, counts = SkipsLayers(), [], []
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    for _ in range(2):
        del calls[:]
        for step in range(8):
            drawn(model, X, seed=1, step=step)
        counts.append(len(calls))
    assert counts[0] > counts[1] == 8


def dropped_between_decisions(x):
    """Dropout has other numbers, from 0 to 11, where a layer is skipped."""
    for _ in range(6):
        if torch.rand([]) < 0.5:
            x = torch_F.dropout(x, 0.1)
    return x


def numbers_between_decisions(x):
    """All draws are of one kind."""
    for _ in range(6):
        if torch.rand([]) < 0.5:
            x = x * (torch.rand_like(x) > 0.1)
    return x


@pytest.mark.parametrize("function", [dropped_between_decisions, numbers_between_decisions])
@pytest.mark.parametrize("given", [False, True])
def test_a_number_that_another_draw_has_in_another_step(function, given):
    """Its place is not that of the draw that had the number when sites were found."""
    model = Calls(function)
    sites = td.find_sites(model, X) if given else None
    for step in range(4):
        whole = drawn(model, X, seed=1, step=step, sites=sites)
        with td.keyed(model, seed=1, step=step, batch=(0, 8), sites=sites):
            assert torch.equal(torch.cat([model(x) for x in X.split(4)]), whole)


@pytest.mark.parametrize(
    "first", [torch.randn(1, 6, 4), torch.ones(2, 6, 4), torch.ones(2, 6, 4, dtype=torch.int64)]
)
def test_samples_that_alternate(first):
    """Seen by what changes with one sample, as sizes do not show it; also if all are alike."""

    def forward(x):
        y = torch_F.dropout(x.transpose(0, 1).reshape(-1, 4) * 1.0, 0.5)
        return y.view(x.shape[1], -1, 4).transpose(0, 1)

    windows = Calls(lambda x: torch_F.dropout(x.reshape(-1, 4) * 1.0, 0.5).view(x.shape))
    x = torch.randn(8, 6, 4).to(first.dtype)
    expected = drawn(windows, x)
    model = Calls(forward)
    (site,) = td.find_sites(model, first).values()
    assert site.place.batch == td.models.scope.Axis(0, 6, True)
    drawn(model, first, batch=(0, 64))
    for start in (0, 3):
        found = drawn(model, x[start : start + 5], batch=(start, 64))
        assert torch.equal(found, expected[start : start + 5])


@pytest.mark.parametrize("alternate", [False, True])
def test_draws_that_are_filled_lie_as_the_arguments_of_their_module(alternate):
    """A drop path of windows, for example, fills a tensor that holds nothing."""
    path = Calls(lambda x: x * x.new_empty(len(x), 1).bernoulli_(0.5))

    def forward(path, x):
        return path((x.transpose(0, 1) if alternate else x).reshape(-1, 4))

    (site,) = td.find_sites(Calls(forward, path), torch.randn(8, 6, 4)).values()
    assert site.place.batch == td.models.scope.Axis(0, 6, alternate)
    assert not site.problem


def repeated(x):
    times = 1 if torch.equal(x[0], x[-1]) else 2
    return torch_F.dropout(x.flatten(0, 1).repeat(times, 1), 0.5)


ZEROS = torch.zeros(2, 6, dtype=torch.int64)
PROBLEMS = {
    "two": (
        lambda x: torch_F.dropout(x, 0.5) if len(x) == 2 else x,
        *(X, "it draws in some forwards and not in others"),
    ),
    "three": (
        lambda x: torch_F.dropout(x, 0.5) if len(x) == 3 else x,
        *(X, "it draws in some forwards and not in others"),
    ),
    "values": (repeated, torch.randn(8, 6, 4), "how much it draws depends on the values"),
    "numbers that the model does not accept": (
        lambda x: torch_F.dropout(torch.ones(1, 3)[x.flatten(0, 1)], 0.5),
        *(ZEROS, "nothing shows the order of the samples along dimension 0"),
    ),
    "dimensions": (
        lambda x: torch_F.dropout(torch.ones(len(x), *[2] * x.shape[1]), 0.5),
        *(ZEROS, "its draws change their number of dimensions with the sequence"),
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_draws_whose_samples_cannot_be_known(name):
    function, x, problem = PROBLEMS[name]
    dim = 1 if name == "dimensions" else None
    (site,) = td.find_sites(Calls(function), x, sequence_dim=dim).values()
    assert site.problem == problem


def test_a_sequence_of_one_position_shows_nothing():
    model = nn.Dropout(0.5)
    with pytest.raises(ArgumentValueError, match="`args` to be 2 or more positions along dimensio"):
        td.find_sites(model, X[:, :1], sequence_dim=1)
    (site,) = td.find_sites(model, X[:, :2], sequence_dim=1).values()
    assert site.place.sequence == (td.models.scope.Axis(1, 1),)


def attending(drop, x, memory):
    """All samples read a memory, of which dropout drops parts."""
    return x + torch.tanh(x @ drop(memory).T) @ memory


def test_a_tensor_of_the_size_of_the_batch_by_chance():
    """The whole batch and its halves would draw other masks for it: it is refused."""
    memory, x = torch.randn(4, 12), torch.randn(8, 12)

    def model():
        return Calls(attending, nn.Dropout(0.5))

    whole = drawn(model(), x, memory)
    message = r"follows the argument 1, .* pass shared=\(1,\) if all"
    assert_refused(message, model(), x[4:], memory, batch=(4, 8))
    message = "the same result in another batch"  # it is not true that each has a row
    assert_refused(message, model(), x[4:], memory, batch=(4, 8), shared=())
    for shared, call in (((1,), ((memory,), {})), (["memory"], ((), {"memory": memory}))):
        for start in (0, 4):
            with td.keyed(model(), batch=(start, 8), shared=shared, **SCOPE) as scope:
                found = scope.model(x[start : start + 4], *call[0], **call[1])
            torch.testing.assert_close(found, whole[start : start + 4])


def test_a_second_tensor_with_a_row_for_each_sample_is_told_so():
    x, other = torch.ones(8, 12), torch.ones(8, 5)
    model = Calls(lambda drop, x, other: (drop(x), drop(other)), nn.Dropout(0.5))
    whole = drawn(model, x, other)
    assert_refused(r"and shared=\(\)", model, x[:4], other[:4], batch=(0, 8))
    with td.keyed(model, batch=(0, 8), shared=(), **SCOPE):
        parts = [model(x[:4], other[:4]), model(x[4:], other[4:])]
    for found, expected in zip(map(torch.cat, zip(*parts, strict=True)), whole, strict=True):
        assert torch.equal(found, expected)


def test_a_tensor_that_only_works_whole_is_not_divided():
    """Such as a mask of positions by positions in a batch of as many samples."""
    x, bias = torch.ones(8, 4, 4), torch.ones(4, 4)

    def model():
        return Calls(lambda drop, x, bias: drop(x + bias[:, :4]), nn.Dropout(0.5))

    whole = drawn(model(), x, bias)
    for start in (0, 4):
        here = slice(start, start + 4)
        assert torch.equal(drawn(model(), x[here], bias, batch=(start, 8)), whole[here])


def test_a_shared_argument_may_come_first():
    """The batch is that of the first tensor which is not shared."""
    model = Calls(lambda drop, memory, x: attending(drop, x, memory), nn.Dropout(0.5))
    memory, x = torch.randn(5, 12), torch.randn(8, 12)
    whole = drawn(model, memory, x, shared=(0,))
    with td.keyed(model, shared=(0,), batch=(0, 8), **SCOPE):
        found = torch.cat([model(memory, x[:3]), model(memory, x[3:])])
    torch.testing.assert_close(found, whole)


def test_a_shared_argument_may_have_a_dimension_of_its_own_where_others_have_positions():
    """The sequence is that of the first tensor which is not shared."""
    model = Calls(lambda memory, x: torch_F.dropout(x, 0.5) * memory.mean())
    memory, x = torch.ones(5, 12), torch.ones(8, 6, 4)
    whole = drawn(model, memory, x, shared=(0,))
    for start in (0, 3):
        here = slice(start, start + 3)
        found = drawn(model, memory, x[:, here], shared=(0,), sequence=(start, 6))
        assert torch.equal(found, whole[:, here])


def test_a_first_argument_that_no_draw_follows():
    """The parts of a batch would have the masks of the first."""

    def model():
        return Calls(lambda drop, memory, x: drop(x) @ memory.T, nn.Dropout(0.5))

    memory, x = torch.ones(5, 12), torch.ones(8, 12)
    whole = drawn(model(), memory, x)
    message = r"follows the argument 1, and nothing follows the argument 0, .* shared=\(0,\) if all"
    assert_refused(message, model(), memory, x[:4], batch=(0, 16))
    with td.keyed(model(), batch=(0, 8), shared=(0,), **SCOPE) as scope:
        parts = [scope.model(memory, part) for part in x.split(4)]
    torch.testing.assert_close(torch.cat(parts), whole)
    drawn(model(), memory, x, batch=(0, 16), shared=(1,))  # all read the same


def test_a_result_shows_that_the_first_argument_has_the_samples():
    """Draws may be those of a memory alone, which all samples share."""
    x, memory = torch.randn(8, 12), torch.randn(5, 12)
    model = Calls(lambda drop, x, memory: x @ drop(memory).T, nn.Dropout(0.5))
    whole = drawn(model, x, memory)
    with td.keyed(model, batch=(0, 8), **SCOPE):
        parts = [model(part, memory) for part in x.split(4)]
    torch.testing.assert_close(torch.cat(parts), whole)


@pytest.mark.parametrize(
    ("shared", "error", "message"),
    [
        ("x", ArgumentTypeError, "`shared` to be names and numbers of arguments"),
        ((0.5,), ArgumentTypeError, "`shared` to be names and numbers of arguments"),
        (("y",), ArgumentValueError, "of the forward, which has 'input', got"),
    ],
)
def test_a_wrong_shared(shared, error, message):
    with pytest.raises(error, match=message):
        td.find_sites(nn.Dropout(0.5), X, shared=shared)
    assert_refused(message, nn.Dropout(0.5), X, shared=shared, error=error)


def test_a_batch_dimension_that_cannot_be_found():
    model = Calls(lambda x: torch_F.dropout(x.T @ x, 0.5) + torch.rand(len(x), len(x)).sum())
    assert_refused("both follow", model, X, batch=(0, 64))
    message = "`batch_dim` to be a dimension of an argument of the forward, got batch_dim=5"
    assert_refused(message, model, X, batch_dim=5, error=ArgumentValueError)
    with pytest.raises(ArgumentValueError, match="a dimension 3, of one or more"):
        td.find_sites(model, X, batch_dim=3)
    with pytest.raises(ArgumentTypeError, match="`model` to be a module"):
        td.find_sites(torch_F.dropout, X)


def graph(x, edges):
    return torch_F.dropout(x, 0.5).index_add(0, edges[0], x[edges[1]])


def fixed(x):
    return torch_F.dropout(x, 0.5) + torch.ones(8, 12)


@pytest.mark.parametrize(
    ("forward", "args"), [(graph, (X, torch.tensor([[0, 5, 3], [1, 7, 4]]))), (fixed, (X,))]
)
def test_a_model_for_batches_of_one_size(forward, args):
    """Its draws have keys, and a batch that is divided is refused with the reason."""
    state = torch.get_rng_state()
    first, same, other = (drawn(Calls(forward), *args, step=step) for step in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)
    message = r"the forward fails with two or with three samples \(\w+Error: .* in `shared`"
    assert_refused(message, Calls(forward), *args, batch=(0, 16))
    with pytest.raises((RuntimeError, IndexError)):  # an error of the model's own
        drawn(Calls(forward), X[:3], *args[1:])


def test_an_error_that_does_not_repeat_is_not_one_of_the_size():
    calls = []

    def forward(x):
        calls.append(len(x))
        if len(calls) in (1, 6):
            raise RuntimeError("now")
        return torch_F.dropout(x, 0.5)

    model = Calls(forward)
    with td.keyed(model, seed=0, batch=(0, 8)):
        for _ in range(2):
            with pytest.raises(RuntimeError, match="now"):
                model(X)
        found = [model(x) for x in X.split(4)]
    assert calls == [2, 8, 2, 3, 2, 3, 8, 2, 3, 2, 3, 3, 3, 2, 4, 4]
    assert torch.equal(drawn(model, X, seed=0, step=0), torch.cat(found))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (torch.OutOfMemoryError, "CUDA out of memory."),
        (RuntimeError, "DefaultCPUAllocator: not enough memory: you tried to allocate"),
    ],
)
def test_out_of_memory_says_what_helps_and_decides_no_draw(error, text):
    """On a CPU too: draws of a batch as a whole have other indices where it lies elsewhere."""
    model, x = Calls(lambda x: torch_F.dropout(x.T, 0.5).T), X[:2]
    handle = limit(model, 2, error, text)
    message = r"two and of three samples.*`find_sites`, for `keyed\(sites=\)`.*memory"
    assert_refused(message, model, x, error=error)
    with pytest.raises(error, match=message):
        td.find_sites(model, x)
    handle.remove()
    drawn(model, x)


def test_an_argument_of_one_row_with_one_sample():
    """It is taken for that sample's, until a forward with several shows that it is not."""
    x, other = torch.ones(6, 12), torch.ones(1, 12)

    def parts(model, **options):
        with td.keyed(model, seed=0, batch=(0, 6), **options):
            return [model(part, other) for part in x.split((1, 1, 4))]

    def added(drop, x, other):
        return drop(x) + drop(other)

    model = Calls(added, nn.Dropout(0.5))
    with pytest.raises(SiteError, match=r"got inner.0 #1 \(dropout\), which lies elsewhere with s"):
        parts(model)
    with td.keyed(Calls(added, nn.Dropout(0.5)), seed=0) as scope:
        whole = scope.model(x, other)
    assert torch.equal(torch.cat(parts(Calls(added, nn.Dropout(0.5)), shared=(1,))), whole)
    probes = []
    model = Calls(lambda x, other: probes.append(len(x)) or torch_F.dropout(x + other, 0.5))
    parts(model)
    parts(model)
    # Where it makes no difference it is looked at once.
    assert probes == [2, 3, 2, 3, 3, 2, 1, 1, 2, 3, 4, 1, 1, 4]


def test_a_sequence_beyond_its_end():
    model = Calls(lambda x: torch_F.dropout(x, 0.5))
    drawn(model, torch.ones(2, 4, 3), sequence=(4, 8))
    message = r"got 4 positions from position 6 on with seq"
    assert_refused(message, model, torch.ones(2, 4, 3), sequence=(6, 8), error=ArgumentValueError)


def test_positions_that_alternate():
    """As in a dimension of channels and positions, which sizes do not show."""
    x = torch.randn(8, 6, 4)
    channels = Calls(lambda x: torch_F.dropout(x.transpose(1, 2).flatten(1), 0.5))
    message = "the positions alternate along dimension 1 of its draws"
    assert_refused(message, channels, x, sequence=(0, 12))
    ones = Calls(lambda x: torch_F.dropout(torch.ones(len(x), x.shape[1] * 4), 0.5))
    message = "nothing shows the order of the positions along dimension"
    assert_refused(message, ones, x, sequence=(0, 12))
    neighbours = Calls(lambda x: torch_F.dropout(x.flatten(1), 0.5).view_as(x))
    for given in (x, torch.ones(8, 6, 4)):
        found = drawn(neighbours, given[2:5, 3:], batch=(2, 8), sequence=(3, 6))
        assert torch.equal(found, drawn(neighbours, given)[2:5, 3:])


def test_positions_and_samples_in_one_dimension():
    """A row for each is counted in the whole sequence; several rows are refused."""
    x = torch.randn(8, 6, 4)
    model = Calls(lambda x: torch_F.dropout(x.flatten(0, 1), 0.5).view(x.shape))
    expected = drawn(model, x, sequence=(0, 6))
    for start, first in ((0, 0), (3, 2)):
        here = slice(start, start + 4), slice(first, first + 3)
        found = drawn(model, x[here], batch=(start, 8), sequence=(first, 6))
        assert torch.equal(found, expected[here])
    model = Calls(lambda x: torch_F.dropout(x.flatten(), 0.5))
    message = "samples and positions lie along dimension 0 both"
    assert_refused(message, model, x, sequence=(0, 12))


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (None, "one position each, as the sequence is divided"),
        ((0, 16), "one sample and one position each, as the batch and the sequence are divided"),
    ],
)
def test_attention_whose_keys_are_a_part_of_a_sequence_that_is_divided(batch, words):
    def attend(x):
        heads = x.unsqueeze(1)
        return torch_F.scaled_dot_product_attention(heads, heads, heads, dropout_p=0.5)

    message = (
        rf"^Expected draws that belong to {words}, got \(the model itself\) #0.*which positions it "
        "has. In attention whose queries are a part of the sequence, gather the keys and values"
    )
    assert_refused(message, Calls(attend), torch.ones(8, 4, 3), batch=batch, sequence=(4, 8))


@pytest.mark.parametrize("randomness", ["different", "error", "same"])
def test_the_samples_of_a_vmap_have_no_number(randomness):
    model = nn.Sequential(nn.Dropout(0.5))
    parameters = {"w": torch.ones(12)}

    def loss(parameters, x):
        return model((x * parameters["w"])[None]).sum()

    calls = [
        lambda: torch.func.vmap(lambda x: model(x[None])[0], randomness=randomness)(X),
        lambda: torch.func.vmap(torch.func.grad(loss), (None, 0), randomness=randomness)(
            parameters, X
        )["w"],
    ]
    for call in calls:
        with td.keyed(model, seed=0):
            if randomness == "same":  # one mask for all, as asked
                assert len(call().unique(dim=0)) == 1
                continue
            with pytest.raises(SiteError, match=f"got randomness='{randomness}' at 0 #0"):
                call()
    model.eval()
    with td.mc.active(model):
        model(X)
        if randomness != "same":
            with pytest.raises(SiteError, match="randomness='same' in torch"):
                calls[0]()


def test_data_parallel():
    """With one device or none it only calls the model; with several its threads hide draws."""
    model = nn.Sequential(nn.Linear(12, 12), nn.Dropout(0.5))
    expected = drawn(model, X)
    inside = nn.Sequential(nn.DataParallel(model))
    assert [str(site) for site in td.find_sites(nn.DataParallel(model), X)] == ["1 #0"]
    assert [str(site) for site in td.find_sites(inside, X)] == ["0.1 #0"]
    assert torch.equal(drawn(nn.DataParallel(model), X), expected)
    several = nn.DataParallel(model)
    several.device_ids = [0, 1]
    for given in (several, nn.Sequential(several)):
        message = "a model without DataParallel on several devices"
        assert_refused(message, given, X, error=ArgumentTypeError)


@pytest.mark.integration
def test_a_module_that_was_replaced_is_watched():
    """Its number may be that of one that is gone; the sites are found anew."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Identity())
    x = torch.ones(3, 4)
    for p in (0.5, 0.25, 0.75):
        drawn(model, x)
        model[1] = nn.Sequential(nn.Dropout(p))
        new = nn.Sequential(model[0], nn.Sequential(nn.Dropout(p)))
        assert torch.equal(drawn(model, x), drawn(new, x))
        del model[1][0]
        gc.collect()


def modes():
    return torch.overrides._get_current_function_mode_stack()


def test_no_mode_is_active_after_the_model():
    """It would cost each function of a backward and an optimiser; the next forward has it again."""
    seen = []
    model = Calls(lambda x: seen.append(len(modes())) or torch_F.dropout(x, 0.5))
    other = nn.Dropout(0.5)
    with td.keyed(model, batch=(0, 24), **SCOPE), td.keyed(other, **SCOPE):
        assert len(modes()) == 2  # what compiles a function around a model meets them
        found = [model(X)]
        other(X)
        assert len(modes()) == 1
        found.append(model(X))
        assert len(modes()) == 0
        with torch.device("meta"):
            other(X)
            assert len(modes()) == 1
        handle = model.register_forward_pre_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model(X)
        handle.remove()
        assert len(modes()) == 0
    assert seen[-2:] == [2, 1]
    assert torch.equal(drawn(model, torch.cat((X, X, X)))[:16], torch.cat(found))


def test_a_part_of_a_model_that_is_called_alone():
    """Its draws have no place in a forward of the model: they are refused, and not left unkeyed."""
    model = nn.Sequential(nn.Linear(X.shape[-1], 4), nn.Dropout(0.5))
    with td.keyed(model, **SCOPE):
        with pytest.raises(SiteError, match="got one of its part 1 alone"):
            model[1](X)
        y = model(X)
        with pytest.raises(SiteError, match="Expected the draws that the model had"):
            model[1](y)
        assert not modes()
        torch_F.dropout(y, 0.5)  # the user's own, by torch's generator
    assert not modes()


def test_ctrl_c_in_a_model_leaves_no_mode_behind():
    """The mode of the scope is left by the block around the model, whose own mode is left later."""
    model = nn.Sequential(nn.Linear(X.shape[-1], 4), nn.Dropout(0.5))

    def stop(*_):
        raise KeyboardInterrupt

    def work():
        with td.keyed(model, batch=(0, 16), **SCOPE):
            model(X)
            model[1].register_forward_pre_hook(stop)
            with torch.device("cpu"):
                model(X)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert not modes()
