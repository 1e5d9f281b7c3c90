"""Schedules by their formulas, and the scheduler: all or nothing, resumed, compiled."""

import copy
import math
import pickle

import numpy
import pytest
import torch
import torchvision
from torch import nn
from torch.optim import lr_scheduler

import torchdropout as td
from family import of_package
from torchdropout.errors import ArgumentTypeError, ArgumentValueError
from torchdropout.models.schedule import (
    Chain,
    Cosine,
    Curriculum,
    DropoutScheduler,
    Early,
    Late,
    Linear,
    linear_drop_path,
    linear_rates,
)

ALL = [Linear(7), Cosine(7), Curriculum(0.3), Early(4), Early(4, "linear"), Late(4)]


def small():
    return nn.Sequential(nn.Linear(8, 8), td.nn.Dropout(0.4), nn.Linear(8, 8), nn.Dropout(0.8))


def ps(model):
    return [model[1].p, model[3].p]


def test_curriculum_is_the_papers():
    """Morerio 2017, equation 3: kept with (1 - theta) exp(-gamma t) + theta."""
    theta, gamma = 0.7, 1e-3
    for t in (0, 1, 10, 1000, 10**6):
        keep = (1 - theta) * math.exp(-gamma * t) + theta
        assert (1 - theta) * Curriculum(gamma)(t) == pytest.approx(1 - keep, abs=1e-15)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_early_and_late_are_the_papers(steps):
    """Liu 2023: constant or np.linspace over the early iterations, then zeros; or zeros first."""
    constant, linear, late = Early(steps), Early(steps, "linear"), Late(steps)
    ramp = torch.linspace(1, 0, steps, dtype=torch.float64).tolist()
    for t in range(steps + 3):
        early = t < steps
        assert constant(t) == float(early)
        assert late(t) == float(not early)
        assert linear(t) == pytest.approx(ramp[t] if early else 0.0)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (Linear(6, 0.2, 0.9), lambda o: lr_scheduler.LinearLR(o, 0.2, 0.9, total_iters=6)),
        (Cosine(9, 1.0, 0.25), lambda o: lr_scheduler.CosineAnnealingLR(o, 9, eta_min=0.25)),
    ],
    ids=["linear", "cosine"],
)
def test_it_is_torchs(ours, theirs):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = theirs(optimizer)
    for epoch in range(10):
        assert ours(epoch) == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("schedule", ALL, ids=str)
def test_factors_are_shares(schedule):
    assert all(0.0 <= schedule(epoch) <= 1.0 for epoch in [*range(20), 10**9])
    assert pickle.loads(pickle.dumps(schedule)) == schedule


def test_schedules_are_chained_by_products():
    chained = Curriculum(0.5) * Early(3) * (lambda epoch: 0.5)
    assert isinstance(chained, Chain)
    for epoch in range(5):
        assert chained(epoch) == Curriculum(0.5)(epoch) * Early(3)(epoch) * 0.5
    assert ((lambda epoch: 0.25) * Late(1))(1) == 0.25


def test_p_is_a_share_of_each_modules_own():
    model = small()
    scheduler = DropoutScheduler(model, Linear(4))
    seen = []
    for epoch in range(6):
        assert scheduler.last_epoch == epoch
        assert scheduler.get_last_p() == ps(model)
        seen.append(ps(model))
        scheduler.step()
    assert seen == [[0.4 * t, 0.8 * t] for t in (0.0, 0.25, 0.5, 0.75, 1.0, 1.0)]
    assert scheduler.base_ps == [0.4, 0.8]


def test_p_acts():
    model = td.nn.Dropout(1.0)
    scheduler = DropoutScheduler(model, Linear(2))
    x = torch.ones(1000)
    assert model(x) is x
    scheduler.step()
    assert 400 < int((model(x) == 0).sum()) < 600
    scheduler.step()
    assert not model(x).any()


PATCHES = "timm.layers.patch_dropout"


@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        (td.nn.AlphaDropout(0.5), "p"),
        (td.nn.DropPath(0.5), "p"),
        (td.nn.DropoutAdd(0.5), "p"),
        (nn.FeatureAlphaDropout(0.5), "p"),
        (torchvision.ops.StochasticDepth(0.5, "row"), "p"),
        (nn.MultiheadAttention(4, 2, dropout=0.5), "dropout"),
        (nn.LSTM(4, 4, 2, dropout=0.5), "dropout"),
        (td.nn.MultiheadAttention(4, 2, dropout=0.5), "dropout"),
        (td.nn.TokenDropout(0.5), "p"),
        (td.nn.ColumnDropout(0.5), "p"),
        (td.nn.GaussianDropout(0.5), "p"),
        (td.nn.Zoneout(0.5), "p"),
        (td.nn.LayerDrop(nn.Identity(), 0.5), "p"),
        (td.nn.MultiSampleDropout(0.5, nn.Identity()), "p"),
        (td.nn.WeightDrop(nn.Linear(2, 2), 0.5, "weight"), "p"),
        (td.nn.EmbeddingDropout(nn.Embedding(2, 2), 0.5), "p"),
        (of_package("PatchDropout", PATCHES, prob=0.5), "prob"),
        (of_package("PatchDropoutWithIndices", PATCHES, prob=0.5), "prob"),
        (of_package("BeitDropPath", "transformers.models.beit", drop_prob=0.5), "drop_prob"),
        (of_package("StochasticDepth", "mine", drop_prob=0.5), "drop_prob"),
        (of_package("DropPath", "mine", p=None, drop_prob=0.5), "drop_prob"),
        (of_package("DropPath", "mine", p=0.5, drop_prob=0.1), "p"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_taken(module, attribute):
    before = dict(vars(module))
    DropoutScheduler(nn.Sequential(module), Linear(2, 0.5))
    assert getattr(module, attribute) == 0.25
    for name in {"p", "drop_prob"} & before.keys() - {attribute}:
        assert getattr(module, name) == before[name]


class Learned(nn.modules.dropout._DropoutNd):
    def __init__(self):
        nn.Module.__init__(self)
        self.p = nn.Parameter(torch.tensor(0.1))


@pytest.mark.parametrize(
    "module",
    [
        # What is not a probability of its own.
        td.nn.GaussianNoise(0.5),
        td.nn.UniformDropout(0.5),
        td.nn.NMDropout(2, 4),
        td.nn.ConcreteDropout(nn.Linear(2, 2)),
        td.nn.VariationalDropout(),
        Learned(),
        # Classes of other packages that are only named alike.
        of_package("PatchDropout", "mine", prob=0.5),
        of_package("Other", "timm.layers.x", prob=0.5),
        of_package("DropPathFinder", "mine", p=0.5),
        of_package("Dropout", "mine", p=0.5),
    ],
    ids=lambda module: type(module).__name__,
)
def test_what_is_left_alone(module):
    before = dict(vars(module))
    with pytest.raises(ArgumentValueError, match="got none"):
        DropoutScheduler(nn.Sequential(module), Linear(2))
    model = nn.Sequential(module, nn.Dropout(0.5))
    assert DropoutScheduler(model, Linear(2, 1.0)).get_last_p() == [0.5]
    assert vars(module) == before


RATES = {
    "dropout": 0.1,
    "input_dropout": 0.2,
    "recurrent_dropout": 0.3,
    "zoneout_hidden": 0.4,
    "zoneout_cell": 0.5,
}


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_every_rate_of_a_recurrent_layer_in_proportion_to_its_own(kind):
    given = {name: p for name, p in RATES.items() if kind == "LSTM" or name != "zoneout_cell"}
    layer = getattr(td.nn, kind)(4, 4, 2, **given)
    model = nn.ModuleDict({"rnn": layer, "drop": nn.Dropout(0.6)})
    scheduler = DropoutScheduler(model, Linear(2))
    assert scheduler.base_ps == [*given.values(), 0.6]
    scheduler.step()
    for name, p in given.items():
        assert getattr(layer, name) == p / 2
    assert scheduler.get_last_p() == [*(p / 2 for p in given.values()), 0.3]
    state = scheduler.state_dict()
    names = ["rnn", *(f"rnn.{name}" for name in given if name != "dropout"), "drop"]
    assert list(state["base_ps"]) == names
    resumed = DropoutScheduler(copy.deepcopy(model), Linear(2))
    resumed.load_state_dict(state)
    assert resumed.base_ps == scheduler.base_ps
    assert resumed.get_last_p() == scheduler.get_last_p()
    vars(layer)["recurrent_dropout"] = 1.5  # the layer refuses it
    with pytest.raises(ArgumentValueError, match=r"In rnn.recurrent_dropout: Expected `p`"):
        DropoutScheduler(model, Linear(2))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (small(), r"schedule\(1\) = 2.0, which makes p = 1.6 .* 3"),
        # 1 is a probability, and of normal noise the variance would be infinite there.
        (
            nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.5), nn.ReLU(), td.nn.GaussianDropout(0.5)),
            r"In 3: Expected `p` to be in \[0, 1\)",
        ),
    ],
)
def test_a_step_that_fails_changes_nothing(model, says):
    before = ps(model)
    scheduler = DropoutScheduler(model, lambda epoch: 1.0 + epoch)
    with pytest.raises(ArgumentValueError, match=says):
        scheduler.step()
    assert ps(model) == scheduler.get_last_p() == scheduler.base_ps == before
    assert scheduler.last_epoch == 0


def test_a_model_that_is_a_dropout_has_a_name_in_states():
    scheduler = DropoutScheduler(nn.Dropout(0.5), Linear(2))
    assert scheduler.state_dict() == {"last_epoch": 0, "base_ps": {"the model": 0.5}}
    scheduler.step()
    scheduler.load_state_dict({"last_epoch": 0, "base_ps": {"the model": 0.25}})
    assert (scheduler.last_epoch, scheduler.base_ps) == (0, [0.25])


def test_given_modules_and_shared_ones_are_taken_once():
    model = small()
    scheduler = DropoutScheduler([model[1], model[1]], Linear(2, 0.5))
    assert ps(model) == [0.2, 0.8]
    assert scheduler.base_ps == [0.4]
    shared = nn.Sequential(model[3], model[3])
    assert DropoutScheduler(shared, Linear(2)).get_last_p() == [0.0]


def test_resumes():
    model, other = small(), small()
    scheduler = DropoutScheduler(model, Cosine(5))
    for _ in range(3):
        scheduler.step()
    state = pickle.loads(pickle.dumps(scheduler.state_dict()))
    assert state == {"last_epoch": 3, "base_ps": {"1": 0.4, "3": 0.8}}
    other[1].p = 0.1  # as built, before the state says what it was
    resumed = DropoutScheduler(other, Cosine(5))
    resumed.load_state_dict(state)
    for _ in range(3):
        assert ps(other) == ps(model) == resumed.get_last_p()
        assert resumed.last_epoch == scheduler.last_epoch
        scheduler.step()
        resumed.step()


def test_a_trainer_finds_what_it_asks_of_torchs_schedulers():
    """Lightning asks for the class, the optimizer and the state; tests/peers tries Lightning."""
    model = small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    scheduler = DropoutScheduler(model, Linear(2), optimizer=optimizer)
    assert isinstance(scheduler, torch.optim.lr_scheduler.LRScheduler)
    assert scheduler.optimizer in [optimizer]
    both = torch.optim.lr_scheduler.ChainedScheduler(
        [torch.optim.lr_scheduler.StepLR(optimizer, 1), scheduler], optimizer=optimizer
    )
    optimizer.step()
    both.step()
    assert ps(model) == [0.2, 0.4]
    assert scheduler.get_last_lr() == both.get_last_lr() == pytest.approx([0.03])
    assert scheduler.state_dict() == {"last_epoch": 1, "base_ps": {"1": 0.4, "3": 0.8}}


def test_without_an_optimizer_it_says_how_to_give_one():
    scheduler = DropoutScheduler(small(), Linear(2))
    assert not hasattr(scheduler, "optimizer")
    with pytest.raises(AttributeError, match=r"DropoutScheduler\(model, schedule, optimizer=...\)"):
        _ = scheduler.optimizer
    with pytest.raises(ArgumentTypeError, match="`optimizer` to be a torch"):
        DropoutScheduler(small(), Linear(2), optimizer=0.1)


def test_a_model_and_its_scheduler_are_copied_together():
    model = small()
    model, scheduler = copy.deepcopy((model, DropoutScheduler(model, Linear(2))))
    scheduler.step()
    assert ps(model) == [0.2, 0.4]


@pytest.mark.parametrize(
    ("factor", "error", "says"),
    [
        *((x, ArgumentValueError, r"keep p in \[0, 1\]") for x in (-0.1, math.nan, math.inf, 3.0)),
        *(
            (x, ArgumentTypeError, r"to give a number, got schedule\(0\)=")
            for x in ("0.5", None, True, torch.tensor(0.5))
        ),
    ],
)
def test_a_schedule_outside_its_range_is_refused_when_it_is_set(factor, error, says):
    model = small()
    with pytest.raises(error, match=says):
        DropoutScheduler(model, lambda epoch: factor)
    assert ps(model) == [0.4, 0.8]


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Linear(0), ArgumentValueError, "`steps` to be an integer of 1 or more"),
        (lambda: Linear(2.5), ArgumentTypeError, r"got steps=2.5 \(float\)"),
        (lambda: Cosine(3, start=1.5), ArgumentValueError, r"`start` to be in \[0, 1\]"),
        (lambda: Linear(3, end=-0.1), ArgumentValueError, r"`end` to be in \[0, 1\]"),
        (lambda: Cosine(3, end=math.nan), ArgumentValueError, "got end=nan"),
        (lambda: Linear(3, "0"), ArgumentTypeError, "`start` to be a number"),
        (lambda: Curriculum(0.0), ArgumentValueError, "`gamma` to be a finite number above 0"),
        (lambda: Curriculum(math.inf), ArgumentValueError, "got gamma=inf"),
        (lambda: Curriculum("1"), ArgumentTypeError, "got gamma='1'"),
        (lambda: Early(3, "cosine"), ArgumentValueError, "'constant' or 'linear'"),
        (lambda: Late(True), ArgumentTypeError, "got steps=True"),
        (lambda: Chain(()), ArgumentValueError, "at least one schedule"),
        (lambda: Late(2) * 0.5, ArgumentTypeError, "got schedule=0.5"),
        (lambda: DropoutScheduler(small(), 0.5), ArgumentTypeError, "got schedule=0.5"),
        (lambda: DropoutScheduler(nn.Linear(1, 1), Late(2)), ArgumentValueError, "got none"),
        (lambda: DropoutScheduler([nn.ReLU()], Late(2)), ArgumentValueError, "ReLU"),
        (lambda: DropoutScheduler(["drop"], Late(2)), ArgumentTypeError, "modules only"),
        (lambda: DropoutScheduler(5, Late(2)), ArgumentTypeError, "to be modules, got modules=5"),
        (lambda: DropoutScheduler("drop", Late(2)), ArgumentTypeError, "`modules` to be modules"),
        (lambda: linear_rates(0, 0.1), ArgumentValueError, "got depth=0"),
        (lambda: linear_rates(3, 1.1), ArgumentValueError, "Expected `p_max`"),
        (lambda: linear_rates(3, 0.1, rule="keras"), ArgumentValueError, "got rule='keras'"),
        (lambda: linear_rates(3, 0.1, rule=["timm"]), ArgumentTypeError, "got rule="),
        (lambda: Curriculum(10**400), ArgumentValueError, "`gamma` to be a finite number"),
        (lambda: linear_drop_path([], 0.1), ArgumentValueError, "at least one block"),
    ],
)
def test_bad_arguments(make, error, says):
    with pytest.raises(error, match=says):
        make()


def test_a_base_outside_its_range_is_named():
    model = small()
    model[3].p = 1.5
    with pytest.raises(ArgumentValueError, match=r"In 3.p: Expected `p` to be in"):
        DropoutScheduler(model, Late(2))
    assert model[1].p == 0.4


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ({}, ArgumentTypeError),
        ({"last_epoch": 1.0, "base_ps": {"1": 0.4, "3": 0.8}}, ArgumentTypeError),
        ({"last_epoch": -1, "base_ps": {"1": 0.4, "3": 0.8}}, ArgumentValueError),
        ({"last_epoch": 1, "base_ps": [0.4, 0.8]}, ArgumentTypeError),
        ({"last_epoch": 1, "base_ps": {"1": 0.4}}, ArgumentValueError),
        ({"last_epoch": 1, "base_ps": {"3": 0.4, "1": 0.8}}, ArgumentValueError),
        ({"last_epoch": 1, "base_ps": {"1": 0.4, "3": 1.8}}, ArgumentValueError),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(state, error):
    model = small()
    scheduler = DropoutScheduler(model, Linear(4, 0.5))
    before = ps(model)
    with pytest.raises(error):
        scheduler.load_state_dict(state)
    assert ps(model) == before
    assert scheduler.last_epoch == 0


class TestLinearDropPath:
    """Three rules, and every path in a block."""

    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            ("timm", [0.0, 0.2, 0.4, 0.6]),
            ("efficientnet", [0.0, 0.15, 0.3, 0.45]),
            ("paper", [0.15, 0.3, 0.45, 0.6]),
        ],
    )
    def test_rules(self, rule, expected):
        assert linear_rates(4, 0.6, rule=rule) == pytest.approx(expected)
        assert linear_rates(1, 0.6, rule="timm") == [0.0]

    def test_sets_every_path_of_a_block(self):
        blocks = nn.ModuleList(
            nn.ModuleDict({"a": td.nn.DropPath(0.1), "b": nn.Sequential(td.nn.DropPath(0.1))})
            for _ in range(3)
        )
        assert linear_drop_path(blocks, 0.5) == [0.0, 0.25, 0.5]
        assert [(b["a"].p, b["b"][0].p) for b in blocks] == [(0.0, 0.0), (0.25, 0.25), (0.5, 0.5)]

    @pytest.mark.parametrize(
        ("name", "rule"), [("convnext_tiny", "timm"), ("efficientnet_b0", "efficientnet")]
    )
    def test_is_torchvisions_own(self, name, rule):
        with torch.device("meta"):
            model = getattr(torchvision.models, name)(stochastic_depth_prob=0.4)
        paths = [m for m in model.modules() if isinstance(m, torchvision.ops.StochasticDepth)]
        built = [path.p for path in paths]
        assert linear_drop_path(paths, 0.4, rule=rule) == pytest.approx(built)

    def test_a_block_without_a_path_is_refused_and_nothing_set(self):
        blocks = [td.nn.DropPath(0.1), nn.Linear(1, 1), td.nn.DropPath(0.1)]
        with pytest.raises(ArgumentValueError, match=r"got none in block 1 \(Linear\)"):
            linear_drop_path(blocks, 0.5)
        assert blocks[2].p == 0.1
        # As timm builds a block that is never dropped.
        assert linear_drop_path([nn.Identity(), td.nn.DropPath(0.1)], 0.5) == [0.0, 0.5]

    def test_only_paths_get_the_rate_of_a_block(self):
        block = nn.Sequential(td.nn.DropPath(0.1), nn.Dropout(0.2), nn.Linear(1, 1))
        assert linear_drop_path([block], 0.5, rule="paper") == [0.5]
        assert (block[0].p, block[1].p) == (0.5, 0.2)
        nameless = of_package("DropPath", "mine", rate=0.1)
        with pytest.raises(ArgumentValueError, match=r"got none in block 0 \(DropPath\), which"):
            linear_drop_path([nameless], 0.5, rule="paper")


@pytest.mark.integration
def test_compiled_it_acts_as_eager():
    """Each new p counts; how often that compiles is in docs/family/schedule.md."""
    torch._dynamo.reset()
    model, x = small()[:2], torch.randn(4, 8)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    scheduler = DropoutScheduler(compiled, Linear(3))
    for _ in range(4):
        torch.manual_seed(0)
        expected = model(x)
        torch.manual_seed(0)
        assert torch.equal(compiled(x), expected)
        scheduler.step()
    torch._dynamo.reset()


def test_a_state_holds_plain_numbers(tmp_path):
    """NumPy's float64 is a float, but not one that torch.load takes by default."""
    model = torch.nn.Sequential(td.nn.Dropout(numpy.float64(0.3)))
    torch.save(td.schedule(model, lambda epoch: 1.0).state_dict(), tmp_path / "state.pt")
    assert torch.load(tmp_path / "state.pt")["base_ps"] == {"0": 0.3}
