"""`mc.plan`: the sites of many models, how each is reached, and that nothing else changes."""

import copy
import dataclasses
import itertools
import random
import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import torchdropout as td
from keyed_parts import MODULES, Calls, input_of
from stochastic import (
    Attention,
    Functional,
    Gated,
    InTraining,
    Last,
    Noise,
    Packed,
    Threshold,
    Weights,
    encoder,
    limit,
    mlp,
    seeded,
    state_of,
)
from torchdropout import mc
from torchdropout.errors import ArgumentTypeError, ArgumentValueError, SiteError

CALL, MODE, KEY = "its call", "its module put in training", "a key given to its module"
X = torch.randn(4, 5, 8, generator=torch.Generator().manual_seed(0))
IMAGES = X.flatten()[: 2 * 3 * 4 * 6].reshape(2, 3, 4, 6)


def drawn(model, *args, **kwargs):
    """The sites of a model as text, its p and how it is reached; the proof holds."""
    model.eval()
    before = state_of(model)
    plan = mc.plan(model, *args, **kwargs)
    assert state_of(model) == before
    assert not plan.problem
    assert not plan.unreached
    assert "eval's" in plan.proof
    return [(str(site.id), site.kind, site.p, site.reached) for site in plan.sites]


# --- Reach ---------------------------------------------------------------------------------------

SDPA, ITSELF = "scaled_dot_product_attention", "(the model itself)"


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
def test_an_encoder_has_four_sites_a_layer_with_and_without_its_fast_path():
    model = seeded(encoder)
    names = [(".self_attn", SDPA), (".dropout1", "dropout"), (".dropout", "dropout")]
    names.append((".dropout2", "dropout"))
    expected = [(f"layers.{i}{name} #0", kind, 0.1, CALL) for i in (0, 1) for name, kind in names]
    assert drawn(model, X) == expected
    hidden = torch.zeros(4, 5, dtype=torch.bool)
    hidden[1:, 3:] = True  # nested tensors, where the fast path is taken
    assert drawn(model, X, src_key_padding_mask=hidden) == expected
    said = "without the fast path of torch's encoder, which sets padding to zero"
    assert said in mc.plan(model, X, src_key_padding_mask=hidden).proof


CASES = {
    "weights": (lambda: Weights(True), [("mha #0", "dropout", 0.25, CALL)]),
    "no weights": (lambda: Weights(False), [("mha #0", SDPA, 0.25, CALL)]),
    "sdpa": (Attention, [(f"{ITSELF} #0", SDPA, 0.4, MODE)]),
    "lstm": (lambda: Last(torch.nn.LSTM), [("rnn #0", "dropout", 0.5, CALL)]),
    "gru": (lambda: Last(torch.nn.GRU, bidirectional=True), [("rnn #0", "dropout", 0.5, CALL)]),
    "rnn": (lambda: Last(torch.nn.RNN), [("rnn #0", "dropout", 0.5, CALL)]),
    "functional": (
        Functional,
        [(f"{ITSELF} #{i}", "dropout", p, CALL) for i, p in enumerate((0.3, 0.2))],
    ),
    "noise": (Noise, [(f"{ITSELF} #0", "randn", None, MODE)]),
    "gated": (Gated, [(f"{ITSELF} #0", "bernoulli", pytest.approx(0.3), MODE)]),
    "alpha": (lambda: torch.nn.AlphaDropout(0.3), [(f"{ITSELF} #0", "alpha_dropout", 0.3, CALL)]),
    "inplace": (lambda: mlp(torch.nn.Dropout(0.5, inplace=True)), [("2 #0", "dropout", 0.5, CALL)]),
}


@pytest.mark.parametrize("case", CASES)
def test_torch_and_code_of_users(case):
    make, expected = CASES[case]
    assert drawn(seeded(make), X) == expected


def test_packed_sequences():
    lengths = torch.tensor([5, 3, 4, 5])
    assert drawn(seeded(Packed), X, lengths) == [("rnn #0", "dropout", 0.5, CALL)]


def test_a_threshold_of_random_numbers_is_reached_and_not_proven():
    plan = mc.plan(Threshold().eval(), X)
    assert [site.kind for site in plan.sites] == ["rand"]
    assert plan.proof == "The effect of (the model itself) #0 is unknown: its draw has no mean."
    assert not plan.problem


@pytest.mark.parametrize("name", MODULES)
def test_our_family_is_reached(name):
    make, call = MODULES[name]
    found = drawn(seeded(lambda: Calls(call, make())), input_of(name))
    assert found
    ways = {reached for *_, reached in found}
    assert ways <= {CALL, KEY} or name in ("MultiSampleDropout", "Zoneout")


# --- The table -----------------------------------------------------------------------------------


def test_the_sites_of_a_plan_say_more():
    plan = mc.plan(mlp(torch.nn.Dropout(0.25)).eval(), X, include="2")
    (site,) = plan.sites
    assert site == mc.PlannedSite(site.id, "dropout", 0.25, CALL, True, True, (2, 5, 16))
    assert (site.path, site.id) == ("2", ("2", 0))


def test_what_has_no_batch_says_so():
    model = torch.nn.Sequential(torch.nn.Flatten(0), torch.nn.Dropout(0.5)).eval()
    (site,) = mc.plan(model, torch.ones(4, 8)).sites
    assert site.batched  # eight of a sample
    model = Calls(lambda m, x: m(x[:, None] * x), torch.nn.Dropout(0.5))  # pairs
    (site,) = mc.plan(model.eval(), torch.ones(4, 8)).sites
    assert not site.batched
    assert site.reached == "its call, but dimensions 0 and 1 of its draws both follow the batch"


def test_a_plan_takes_few_forwards():
    calls = []
    model = torch.nn.Sequential(*(torch.nn.Dropout(0.5) for _ in range(20))).eval()
    model.register_forward_pre_hook(lambda *_: calls.append(1))
    mc.plan(model, X)
    assert len(calls) == 10


# --- Which ---------------------------------------------------------------------------------------


def test_include_exclude_and_p():
    model = torch.nn.Sequential(*(torch.nn.Dropout(0.1 * i) for i in (1, 2, 3))).eval()

    def on(**options):
        plan = mc.plan(model, X, **options)
        return {site.path: site.p for site in plan.sites if site.selected}

    assert on() == pytest.approx({"0": 0.1, "1": 0.2, "2": 0.3})
    assert [*on(include="[01]")] == ["0", "1"]
    assert [*on(include=["0", "2"], exclude="0")] == ["2"]
    assert on(p=0.5) == {"0": 0.5, "1": 0.5, "2": 0.5}
    assert on(p={"*": 0.5, "1": 0.9}) == {"0": 0.5, "1": 0.9, "2": 0.5}  # the last that fits
    assert on(p={"1": 0.9, "*": 0.5}) == {"0": 0.5, "1": 0.5, "2": 0.5}
    assert on(exclude="1", p={"1": 0.9, "2": 0}) == pytest.approx({"0": 0.1, "2": 0.0})
    for name in ("include", "exclude"):
        with pytest.raises(
            ArgumentValueError, match=rf"`{name}` to be patterns .*\(0, 1, 2\).*'7'"
        ):
            on(**{name: "7"})
    with pytest.raises(ArgumentValueError, match=r"`p` to be patterns of paths"):
        on(p={"layer*": 0.5})
    with pytest.raises(ArgumentValueError, match=r"`p` to be in \[0, 1\]"):
        on(p=1.5)
    with pytest.raises(ArgumentTypeError, match="`include` to be a pattern of paths, or several"):
        on(include=[3])
    with pytest.raises(ArgumentValueError, match="to leave a site that draws"):
        on(include="0", exclude="*")


def test_the_rate_of_an_attention_may_be_another():
    plan = mc.plan(seeded(encoder).eval(), X, p=0.5)
    assert {site.kind for site in plan.sites} == {SDPA, "dropout"}
    assert {site.p for site in plan.sites} == {0.5}


# --- Nothing else --------------------------------------------------------------------------------


def shifted(x, by=1):
    """Dropout, and something else that depends on the training mode."""
    return x * torch.empty_like(x).bernoulli_(0.5) * 2 + by


class Around(torch.nn.Module):
    """Turns on dropout in another module, and does something else in training."""

    def __init__(self):
        super().__init__()
        self.part = Calls(lambda x, draws: shifted(x, 0) if draws else x)

    def forward(self, x):
        return self.part(x, self.training) + int(self.training)


OTHER = "something other than dropout depends on the training mode"
SAME = "With the mean of each draw the output is eval's, bit for bit."


def patches(x):
    """Tokens in the order of random numbers, as PatchDropout of timm."""
    order = torch.randn(x.shape[:2]).argsort(-1)[:, :3]
    return x.gather(1, order[..., None].expand(-1, -1, x.shape[-1]))


class InFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, draw):
        return x * (draw > 0.5) * 2


def drawn_half(x):
    return torch.bernoulli(torch.full_like(x, 0.5))


CONDITIONS = {
    "an order": patches,
    "a condition": lambda x: torch.where(drawn_half(x).bool(), 2 * x, 0),
    "equal": lambda x: drawn_half(x).eq(1) * x * 2,
    "truth values": lambda x: torch.zeros_like(x, dtype=torch.bool).bernoulli_(0.5) * x * 2,
    "in a function": lambda x: InFunction.apply(x, drawn_half(x)),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_mean_of_a_draw_that_is_a_condition_or_an_order_shows_nothing(name):
    """With dropout around it whose mean shows something."""
    part = InTraining(CONDITIONS[name])
    model = torch.nn.Sequential(Gated(), part, torch.nn.Dropout(0.5)).eval()
    plan = mc.plan(model, X)
    assert not plan.problem
    what = "a condition or an order follows its draw, whose mean shows nothing"
    assert plan.proof == f"The effect of 1 #0 is unknown: {what}."
    kind = "randn" if name == "an order" else "bernoulli"
    assert [(s.path, s.kind, s.selected) for s in plan.sites][1] == ("1", kind, True)
    samples = mc.MCDropout(model, 4, task="regression", keep_samples=True)(X).samples
    assert not torch.equal(samples[0], samples[1])


@pytest.mark.parametrize(
    ("make", "path", "fix"),
    [
        # A product with the draw, whose mean is not 1.
        (
            lambda: torch.nn.Sequential(InTraining(lambda x: x * drawn_half(x))),
            *("1.0", "exclude='1.0' leaves its"),
        ),
        (lambda: InTraining(lambda x: shifted(x, 1e-4)), "1", "exclude='1' leaves its"),
        (
            lambda: torch.nn.Sequential(InTraining(shifted), InTraining(patches)),
            *("1.0", "exclude='1.0' leaves its"),
        ),
        (Around, "1", "exclude='1.*' leaves the dropout in it"),
    ],
    ids=["unscaled", "barely", "before", "around"],
)
def test_a_problem_names_the_module_and_what_to_pass(make, path, fix):
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), make(), torch.nn.Linear(8, 8)).eval()
    plan = mc.plan(model, X)
    assert f"with another output is {path} (" in plan.problem
    assert f": {fix}" in plan.problem
    excluded = re.search("exclude='(.*?)'", plan.problem)[1]
    model.append(torch.nn.Dropout(0.5).eval())
    assert not mc.plan(model, X, exclude=excluded).problem


def test_an_output_of_another_form_is_a_problem():
    plan = mc.plan(InTraining(lambda x: (shifted(x, 0), x)).eval(), X)
    assert plan.problem.startswith(
        f"With the mean of each draw the output has another form than eval's: {OTHER}."
    )


class Auxiliary(torch.nn.Module):
    """A classifier that has a further output in training, as GoogLeNet."""

    def __init__(self):
        super().__init__()
        self.aux, self.drop = torch.nn.Dropout(0.5), torch.nn.Dropout(0.2)

    def forward(self, x):
        return (self.drop(x), self.aux(x)) if self.training else self.drop(x)


def test_what_eval_does_not_run_stays_off():
    plan = mc.plan(Auxiliary().eval(), X)
    assert plan.proof == SAME
    assert [(site.path, site.selected, site.reached) for site in plan.sites] == [
        ("drop", True, CALL),
        ("aux", False, "left as in eval, which does not run it"),
    ]
    assert str(plan).splitlines()[-1].startswith("1 of 2 sites draw.")


def test_a_model_that_drops_in_eval_too():
    model = Calls(lambda x: F.dropout(x, 0.5)).eval()
    state = torch.get_rng_state()
    plan = mc.plan(model, X)
    assert torch.equal(torch.get_rng_state(), state)
    assert plan.proof == SAME.replace("eval's", "eval's, where it draws in eval too")
    assert not plan.problem


class Counting(InTraining):
    """Dropout, and a buffer that changes in training."""

    def __init__(self):
        super().__init__(lambda x: self.calls.add_(1) * 0 + shifted(x, 0))
        self.register_buffer("calls", torch.zeros(()))


def test_a_buffer_that_changes_is_a_problem_and_is_put_back():
    model = torch.nn.Sequential(Counting()).eval()
    plan = mc.plan(model, X)
    assert plan.problem == "Turning dropout on changes the buffer 0.calls too."
    assert model[0].calls == 0


def norms():
    """Modules with buffers that change in training, around dropout."""
    old = torch.nn.utils.spectral_norm
    new = torch.nn.utils.parametrizations.spectral_norm
    return torch.nn.Sequential(
        new(torch.nn.Linear(8, 8)),
        torch.nn.BatchNorm1d(5),
        torch.nn.Dropout(0.5),
        torch.nn.RReLU(),
        old(torch.nn.Linear(8, 8)),
        Gated(),
        torch.nn.InstanceNorm1d(5, affine=True, track_running_stats=True),
    )


def test_norms_stay_in_eval():
    model = seeded(norms)
    assert [site for site, *_ in drawn(model, X)] == ["2 #0", "5 #0"]


def test_observers_stay_in_eval():
    from torch.ao import quantization

    model = torch.nn.Sequential(quantization.MovingAverageMinMaxObserver(), torch.nn.Dropout(0.5))
    model(X)
    assert [site for site, *_ in drawn(model, X)] == ["1 #0"]


@pytest.mark.parametrize(
    ("error", "calls"), [(ZeroDivisionError("oh"), 1), (KeyboardInterrupt(), 4), (KeyError(), 7)]
)
def test_however_it_ends_everything_is_as_before(error, calls):
    count = itertools.count(1)

    def fail(*_):
        if next(count) == calls:
            raise error

    model = torch.nn.Sequential(torch.nn.Dropout(0.5), Gated()).eval()
    model[1].register_forward_pre_hook(fail)
    before = state_of(model)
    with pytest.raises(type(error)):
        mc.plan(model, X)
    assert state_of(model) == before


@dataclasses.dataclass
class Output:
    """An output that torch cannot look into."""

    logits: torch.Tensor
    inner: object = None


class Attributes:
    """The same without fields."""

    def __init__(self, y):
        self.logits = y


def wrapped(wrap, by):
    """A model that drops, with or without something else, and returns an object."""
    return Calls(lambda part, x: wrap(part(x)), InTraining(lambda x: shifted(x, by))).eval()


@pytest.mark.parametrize(
    "wrap",
    [Output, Attributes, lambda y: [Output(y[:0], Attributes(y))], lambda y: {"a": Output(y)}],
    ids=["dataclass", "object", "nested", "dict"],
)
def test_outputs_in_objects_are_compared(wrap):
    assert mc.plan(wrapped(wrap, 0.0), X).proof == SAME
    assert "differs from eval's by 1" in mc.plan(wrapped(wrap, 1.0), X).problem


def test_an_output_without_tensors_proves_nothing():
    plan = mc.plan(wrapped(lambda y: None, 1.0), X)
    assert plan.proof == (
        "Whether anything else changes is unknown: the output, NoneType, has no tensor."
    )
    assert not plan.problem


def test_nor_do_those_in_a_list_change():
    """A tensor that has a history has no `deepcopy`."""
    x = X * torch.ones(8, requires_grad=True)
    model = Calls(lambda drop, x, rows: drop(x + 0 * rows[0].mul_(2)), torch.nn.Dropout(0.5))
    assert not mc.plan(model.eval(), x, [x]).problem
    assert torch.equal(x, X)


# --- Bad input -----------------------------------------------------------------------------------


def compiled():
    model = torch.nn.Sequential(mlp())
    model[0].compile(backend="eager")
    return model


@pytest.mark.filterwarnings("ignore:`torch.jit")
@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: F.relu, ArgumentTypeError, "`model` to be a module, got"),
        (
            lambda: torch.jit.script(mlp(torch.nn.Dropout()).eval()),
            *(ArgumentTypeError, "`model` to be a module that torch.jit did not compile"),
        ),
        (
            lambda: torch.nn.DataParallel(mlp()).eval(),
            *(ArgumentTypeError, "the module that is wrapped, model.module, got .*DataParallel"),
        ),
        (
            lambda: torch.compile(mlp().eval(), backend="eager"),
            *(ArgumentTypeError, "`model` to be a module that torch.compile did not compile"),
        ),
        (
            lambda: compiled().eval(),
            *(ArgumentTypeError, "that torch.compile did not compile.* got model='0'"),
        ),
        (
            lambda: torch.nn.Linear(8, 2).eval(),
            *(ArgumentValueError, "a model that draws, got none: neither a dropout of torch"),
        ),
        (lambda: mlp(torch.nn.Dropout(0.0)).eval(), ArgumentValueError, "a model that draws, got"),
    ],
)
def test_bad_models(make, error, message):
    for call in (mc.plan, lambda model, x: mc.MCDropout(model, 2)(x)):
        with pytest.raises(error, match=message):
            call(make(), X)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_a_scripted_part_that_draws_is_not_reached():
    part = torch.jit.script(mlp(torch.nn.Dropout(0.5)))
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), part).eval()
    plan = mc.plan(model, X)
    assert [str(site) for site in plan.unreached] == ["1 #0"]
    assert "1 #0  dropout in scripted code       not reached" in str(plan)
    still = torch.jit.script(torch.nn.Linear(8, 8))
    assert not mc.plan(torch.nn.Sequential(torch.nn.Dropout(0.5), still).eval(), X).unreached


CODE = "code that no function shows ({} generator advances)"
UNKEYED = {
    "poisson": (torch.poisson, "poisson"),
    "aten": (lambda x: torch.ops.aten.native_dropout(x, 0.5, True)[0], CODE.format("torch's")),
    "numpy": (lambda x: x * np.random.rand(), CODE.format("NumPy's")),
}


def unreached(model, *args, **options):
    found = mc.plan(model, *args, **options).unreached
    return {str(site): name for site, name in found.items()}


ONES = torch.ones(3, 4)


@pytest.mark.parametrize(
    ("name", "beside"), [*((name, True) for name in UNKEYED), ("poisson", False), ("numpy", False)]
)
def test_what_draws_in_training_alone_is_named(name, beside):
    """Training mode would turn it on, and no key can be given to it."""
    function, said = UNKEYED[name]
    # torchdropout: ignore[dropout-before-batchnorm]
    first = torch.nn.Dropout(0.5) if beside else torch.nn.Linear(4, 4)
    model = torch.nn.Sequential(first, torch.nn.BatchNorm1d(4), torch.nn.Sigmoid())
    model.append(InTraining(function)).eval()
    where = "3" if name == "poisson" else "(the model itself)"
    before = state_of(model)
    assert unreached(model, ONES) == {f"{where} #0": said}
    assert state_of(model) == before
    lines = str(mc.plan(model, ONES)).splitlines()
    assert lines[-1].startswith(f"{int(beside)} of {1 + beside} sites draw.")
    with pytest.raises(SiteError, match=f"got {re.escape(said)}"):
        mc.MCDropout(model, 2)(ONES)
    with pytest.raises(SiteError, match=f"got {re.escape(said)}"), mc.active(model):
        model(ONES)
    if beside:  # what the user leaves off is not named
        for options in ({"exclude": "3"}, {"include": "0"}):
            assert unreached(model, ONES, **options) == {}
            mc.MCDropout(model, 2, **options)(ONES)


GENERATORS = {
    "torch": torch.Generator().manual_seed(1),
    "python": random.Random(1),
    "numpy": np.random.default_rng(1),
}


def states(torch, python, numpy):
    return torch.get_state().tolist(), python.getstate(), numpy.bit_generator.state


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (
            lambda x: x * torch.bernoulli(x * 0.5, generator=GENERATORS["torch"]),
            "bernoulli by a generator of its own",
        ),
        (lambda x: x * GENERATORS["python"].random(), "python, a generator of its own"),
        (lambda x: x * GENERATORS["numpy"].random(), "numpy, a generator of its own"),
    ],
)
def test_a_generator_of_its_own_is_named_and_put_back(draw, said):
    part = InTraining(draw)
    vars(part).update(GENERATORS)
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Sigmoid(), part).eval()
    before = states(**GENERATORS)
    assert unreached(model, ONES) == {"2 #0": said}
    assert states(**GENERATORS) == before
    model.train()
    td.find_sites(model, ONES)
    assert states(**GENERATORS) == before
    with td.keyed(model, seed=0):  # a call with a generator of its own is left as it is
        model(ONES)
    assert states(**GENERATORS) != before


def test_a_generator_that_no_module_holds_is_named_and_put_back():
    generator = torch.Generator().manual_seed(1)
    draw = InTraining(lambda x: td.functional.dropout(x, 0.5, generator=generator))
    before = generator.get_state()
    model = torch.nn.Sequential(torch.nn.Dropout(0.5), draw).eval()
    assert unreached(model, ONES).keys() == {"1 #0"}
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
def test_numbers_that_are_not_finite_are_like_evals(value):
    """Such as those of padding, or of classes that are ruled out."""
    model = Calls(lambda m, x: (m(x), torch.full_like(x, value)), torch.nn.Dropout(0.5))
    model.register_buffer("unset", torch.tensor(torch.nan))
    plan = mc.plan(model.eval(), ONES)
    assert plan.proof == SAME
    assert not plan.problem
    model = wrapped(lambda y: torch.cat((y, torch.full_like(y, value))), 0.25)
    assert "differs from eval's by 0.25" in mc.plan(model, ONES).problem


def test_out_of_memory_halves_the_inputs_of_a_forward():
    model, x = mlp().eval(), torch.ones(10, 8)
    expected = mc.plan(model, x)
    handle = limit(model, 4)
    with pytest.warns(RuntimeWarning) as said:
        found = mc.plan(model, x)
    assert {one.filename for one in said} == {__file__}
    assert [str(one.message) for one in said] == [
        "Out of memory with 10 inputs in a forward: continuing with 5.",
        "Out of memory with 5 inputs in a forward: continuing with 3.",
    ]
    handle.remove()
    assert [*found.found.values()] == [*expected.found.values()]
    assert str(found) == str(expected)


@pytest.mark.parametrize(
    ("inputs", "error", "text"),
    [
        (1, torch.OutOfMemoryError, "CUDA out of memory."),
        (10, RuntimeError, "DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
        (10, MemoryError, ""),
    ],
)
@pytest.mark.filterwarnings("ignore:Out of memory with:RuntimeWarning")
def test_out_of_memory_with_three_inputs_says_what_helps(error, text, inputs):
    model = mlp().eval()
    limit(model, 2, error, text)
    before = state_of(model)
    with pytest.raises(error, match=r"forwards of two and of three samples.*`MCDropout.plan`"):
        mc.plan(model, torch.ones(inputs, 8))
    assert state_of(model) == before


@pytest.mark.parametrize("call", [mc.plan, td.find_sites])
def test_out_of_memory_tells_nothing_about_an_argument(call):
    """Once there is memory again, a forward succeeds that has the argument whole."""
    failures = [torch.OutOfMemoryError("CUDA out of memory.")]

    def forward(drop, x, table):
        if len(x) == 3 and failures:
            raise failures.pop()
        return drop(x) + table.mean()

    model = Calls(forward, torch.nn.Dropout(0.5)).train(call is td.find_sites)
    with pytest.raises(torch.OutOfMemoryError):
        call(model, torch.ones(6, 8), torch.ones(6, 8))


def test_bad_arguments():
    model = mlp().eval()
    with pytest.raises(ArgumentValueError, match="`args` to be a tensor among them that has a dim"):
        mc.plan(model, X, batch_dim=3)
    with pytest.raises(ArgumentValueError, match=r"with 8 places .* for 8 inputs, got batch_dim=2"):
        mc.plan(model, X, batch_dim=2)
    with pytest.raises(ArgumentValueError, match="to leave a site that draws, got include="):
        mc.plan(model, X, include=[])
    before = state_of(model)
    with pytest.raises(RuntimeError):  # torch's own
        mc.plan(model, torch.ones(2, 3))
    assert state_of(model) == before
    for call in (mc.plan, lambda model, x: mc.MCDropout(model, 2)(x)):
        with mc.active(model), pytest.raises(ArgumentValueError, match=r"no scope .* active"):
            call(model, X)
    mc.plan(copy.deepcopy(model), X)


def test_a_module_in_training_is_named():
    model = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Dropout())).eval()
    model[0][0].train()
    with pytest.raises(ArgumentValueError, match=r"a model in eval: .* got model='0.0'"):
        mc.plan(model, X)
    model.eval().training = True
    with pytest.raises(ArgumentValueError, match="got model='Sequential'"):
        mc.plan(model, X)
