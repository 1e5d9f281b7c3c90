"""Schedules by their formulas, and the scheduler: all or nothing, resumed, compiled."""

import copy
import math
import pickle

import numpy
import pytest
import torch
import torchvision
from torch import nn

import torchdropout as td
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


def test_cosine_is_torchs():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.8)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 9, eta_min=0.2)
    for epoch in range(10):
        assert 0.8 * Cosine(9, 1.0, 0.25)(epoch) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


def test_linear_is_torchs():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    theirs = torch.optim.lr_scheduler.LinearLR(optimizer, 0.2, 0.9, total_iters=6)
    for epoch in range(9):
        assert 0.5 * Linear(6, 0.2, 0.9)(epoch) == pytest.approx(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()


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
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_taken(module, attribute):
    DropoutScheduler(nn.Sequential(module), Linear(2, 0.5))
    assert getattr(module, attribute) == 0.25


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
    "amount",
    [
        td.nn.GaussianNoise(0.5),
        td.nn.UniformDropout(0.5),
        td.nn.NMDropout(2, 4),
        td.nn.ConcreteDropout(nn.Linear(2, 2)),
        td.nn.VariationalDropout(),
    ],
    ids=lambda module: type(module).__name__,
)
def test_what_is_no_probability_of_its_own_is_left_alone(amount):
    before = dict(vars(amount))
    with pytest.raises(ArgumentValueError, match="got none"):
        DropoutScheduler(nn.Sequential(amount), Linear(2))
    DropoutScheduler(nn.Sequential(amount, nn.Dropout(0.5)), Linear(2))
    assert vars(amount) == before


def test_a_p_that_one_module_refuses_changes_none():
    """1 is a probability, and of normal noise the variance would be infinite there."""
    model = nn.Sequential(nn.Dropout(0.5), td.nn.GaussianDropout(0.5), nn.Dropout(0.4))
    scheduler = DropoutScheduler(model, lambda epoch: 1.0 + epoch)
    with pytest.raises(ArgumentValueError, match=r"In 1: Expected `p` to be in \[0, 1\)"):
        scheduler.step()
    assert [module.p for module in model] == scheduler.get_last_p() == [0.5, 0.5, 0.4]
    assert scheduler.last_epoch == 0
    assert scheduler.base_ps == [0.5, 0.5, 0.4]


def of(kind, home, **attributes):
    """A module of a class with this name, of another package."""
    module = type(kind, (nn.Module,), {"__module__": home})()
    for name, value in attributes.items():
        setattr(module, name, value)
    return module


@pytest.mark.parametrize(
    ("module", "rates"),
    [
        (of("PatchDropout", "timm.layers.patch_dropout", prob=0.5), {"prob": 0.25}),
        (of("PatchDropoutWithIndices", "timm.layers.x", prob=0.5), {"prob": 0.25}),
        (of("PatchDropout", "mine", prob=0.5), None),
        (of("Other", "timm.layers.x", prob=0.5), None),
        (of("BeitDropPath", "transformers.models.beit", drop_prob=0.5), {"drop_prob": 0.25}),
        (of("StochasticDepth", "mine", drop_prob=0.5), {"drop_prob": 0.25}),
        (of("DropPath", "mine", p=0.5, drop_prob=0.1), {"p": 0.25, "drop_prob": 0.1}),
        (of("DropPath", "mine", p=None, drop_prob=0.5), {"drop_prob": 0.25}),
        (of("DropPathFinder", "mine", p=0.5), None),
        (of("Dropout", "mine", p=0.5), None),
    ],
)
def test_classes_of_other_packages(module, rates):
    if rates is None:
        before = dict(vars(module))
        with pytest.raises(ArgumentValueError, match="got none"):
            DropoutScheduler(nn.Sequential(module), Linear(2, 0.5))
        assert vars(module) == before
        return
    DropoutScheduler(nn.Sequential(module), Linear(2, 0.5))
    assert {name: getattr(module, name) for name in rates} == rates


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


def test_a_learned_p_is_left_alone():
    class Concrete(nn.modules.dropout._DropoutNd):
        def __init__(self):
            nn.Module.__init__(self)
            self.p = nn.Parameter(torch.tensor(0.1))

    model = nn.Sequential(Concrete(), nn.Dropout(0.5))
    assert DropoutScheduler(model, Linear(2, 1.0)).get_last_p() == [0.5]


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


def test_a_step_that_fails_changes_nothing():
    model = small()
    scheduler = DropoutScheduler(model, lambda epoch: 1.0 + epoch)
    assert ps(model) == [0.4, 0.8]
    with pytest.raises(ArgumentValueError, match=r"schedule\(1\) = 2.0, which makes p = 1.6 .* 3"):
        scheduler.step()
    assert ps(model) == scheduler.get_last_p() == [0.4, 0.8]
    assert scheduler.last_epoch == 0


@pytest.mark.parametrize("factor", [-0.1, math.nan, math.inf, 3.0])
def test_a_schedule_outside_its_range_is_refused_when_it_is_set(factor):
    model = small()
    with pytest.raises(ArgumentValueError, match=r"keep p in \[0, 1\]"):
        DropoutScheduler(model, lambda epoch: factor)
    assert ps(model) == [0.4, 0.8]


@pytest.mark.parametrize("factor", ["0.5", None, True, torch.tensor(0.5)])
def test_a_schedule_that_gives_no_number_is_refused(factor):
    model = small()
    with pytest.raises(ArgumentTypeError, match=r"to give a number, got schedule\(0\)="):
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
        blocks = [
            nn.Identity(),
            td.nn.DropPath(0.1),
        ]  # as timm builds a block that is never dropped
        assert linear_drop_path(blocks, 0.5) == [0.0, 0.5]

    def test_only_paths_get_the_rate_of_a_block(self):
        block = nn.Sequential(td.nn.DropPath(0.1), nn.Dropout(0.2), nn.Linear(1, 1))
        assert linear_drop_path([block], 0.5, rule="paper") == [0.5]
        assert (block[0].p, block[1].p) == (0.5, 0.2)
        nameless = of("DropPath", "mine", rate=0.1)
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
