import functools
import random
import sys
import textwrap
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from torchdropout.errors import ArgumentTypeError, ArgumentValueError, TargetError
from torchdropout.verify.subject import Subject
from torchdropout.verify.targets import KEEP_NAMES, P_NAMES, TRAINING_NAMES, resolve

X = torch.ones(64, 64)


def function(head, dropout):
    """A function of this head, which calls torch's with these arguments."""
    scope = {"F": F, "__name__": __name__}
    exec(f"def {head}: return F.dropout({dropout})", scope)
    return scope[head.partition("(")[0]]


def layer(head, dropout, call="x"):
    """A module that keeps its arguments, and calls torch's dropout with these of them."""
    name, _, arguments = head.removesuffix(")").partition("(")
    scope = {"F": F, "nn": nn, "__name__": __name__}
    exec(
        f"class {name}(nn.Module):\n"
        f"    def __init__(self, {arguments}):\n"
        f"        super().__init__()\n"
        f"        given = {{k: v for k, v in locals().items() if k not in ('self', '__class__')}}\n"
        f"        self.__dict__.update(given)\n"
        f"    def forward(self, {call}):\n"
        f"        return F.dropout(x, {dropout})\n",
        scope,
    )
    return scope[name]


KeepDrop = layer("KeepDrop(keep_prob)", "1 - self.keep_prob, self.training")
Deterministic = layer(
    "Deterministic(rate)", "self.rate, not deterministic", call="x, deterministic=False"
)
# No name says which argument is the probability.
Quantity = layer("Quantity(amount, label='a')", "self.amount, self.training")
Wide = layer("Wide(width, p)", "self.p, self.training")
InPlace = layer("InPlace(p=0.5, inplace=False)", "self.p, self.training, self.inplace")
Parts = layer(
    "Parts(attn_dropout=0.1, hidden_dropout=0.2, required=None)",
    "self.hidden_dropout, self.training",
)


class Masked(nn.Module):
    def __init__(self, p):
        super().__init__()

    def forward(self, x, mask):
        return x * mask


class Callable:
    """Not a module; its mode is an attribute."""

    def __init__(self, p):
        self.p, self.training = p, True

    def __call__(self, x):
        return F.dropout(x, self.p, self.training)


class Modeless:
    def __init__(self, p):
        self.p = p

    def __call__(self, x):
        return F.dropout(x, self.p)


drop = function("drop(x, p, training)", "x, p, training")
drop_positional = function("drop_positional(x, p, training, /)", "x, p, training")
drop_keyword = function(
    "drop_keyword(x, *, dropout_rate, is_training)", "x, dropout_rate, is_training"
)
drop_keep = function("drop_keep(x, keep_prob, training)", "x, 1 - keep_prob, training")
drop_inference = function("drop_inference(x, p, inference)", "x, p, not inference")
drop_untold = function("drop_untold(x, foo, bar=True)", "x, foo, bar")
drop_opaque = function("drop_opaque(*args, **kwargs)", "*args, **kwargs")
drop_in_place = function("drop_in_place(x, p, training, inplace=False)", "x, p, training, inplace")


def make(p):
    return nn.Dropout(p)


def script(thing):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script")
        return torch.jit.script(thing)


@script
def scripted(x: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    return F.dropout(x, p, training)


def dropped(subject: Subject, p: float, training: bool = True) -> float:
    """The rate of zeros; checks that every other value is a kept one."""
    torch.manual_seed(0)
    y = subject.build(p).call(X, training)
    kept = y != 0
    expected = 1 / (1 - p) if training else 1.0
    assert torch.allclose(y[kept], torch.tensor(expected))
    return 1 - kept.float().mean().item()


# target, hints, kind, words of the description
UNDERSTOOD = [
    (nn.Dropout, {}, "class", "module class, built as Dropout(p=p)"),
    (KeepDrop, {}, "class", "KeepDrop(keep_prob=1 - p); `keep_prob` is read as a keep probability"),
    (Deterministic, {}, "class", "Deterministic(rate=p), called with deterministic=not training"),
    (Quantity, {}, "class", "`amount` is taken as p"),
    (functools.partial(Wide, 4), {}, "class", "built as Wide(p=p, width=4)"),
    (Callable, {}, "class", "class, built as Callable(p=p)"),
    (make, {}, "class", "factory, built as make(p=p)"),
    (torch.dropout, {}, "function", "dropout(x, p=p, train=training)"),
    (torch.ops.aten.dropout.default, {}, "function", "dropout(x, p=p, train=training)"),
    (scripted, {}, "function", "scripted(x, p=p, training=training)"),
    (drop, {}, "function", "drop(x, p=p, training=training)"),
    (drop_positional, {}, "function", "drop_positional(x, p, training)"),
    (drop_keyword, {}, "function", "drop_keyword(x, dropout_rate=p, is_training=training)"),
    (drop_keep, {}, "function", "drop_keep(x, keep_prob=1 - p, training=training)"),
    (drop_keep, {"keep_prob": "keep_prob"}, "function", "keep_prob=1 - p"),
    (drop_inference, {}, "function", "inference=not training"),
    (drop_untold, {"p_name": "foo", "training_name": "bar"}, "function", "foo=p, bar=training"),
    (drop_opaque, {}, "function", "drop_opaque(x, p, training); no readable signature"),
    (drop_opaque, {"p_name": "p", "training_name": "training"}, "function", "(x, p=p, training="),
]


@pytest.mark.parametrize(("target", "hints", "kind", "words"), UNDERSTOOD)
def test_target_is_understood_and_drops_at_p(target, hints, kind, words):
    subject = resolve(target, **hints)
    assert subject.kind == kind
    assert words in subject.description
    assert subject.has_eval
    assert subject.fixed_p is None
    # 0.1 and not 0.5: confusing p with a keep probability must show.
    assert dropped(subject, 0.1) == pytest.approx(0.1, abs=0.03)
    assert dropped(subject, 0.1, training=False) == 0


# target, hints, p, where it was found
HELD = [
    (nn.Dropout(0.1), {}, "`p`"),
    (nn.Sequential(nn.Dropout(0.1)), {}, "`0.p`"),
    (KeepDrop(0.9), {}, "`keep_prob`, read as a keep probability"),
    (Quantity(0.1), {"p_name": "amount"}, "`amount`"),
    (nn.Sequential(nn.Dropout(0.1), nn.Dropout(0.0)), {"p_name": "0.p"}, "`0.p`"),
    (Wide(4, torch.tensor(0.1)), {}, "`p`"),
    (Callable(0.1), {}, "callable object, p=0.1 read from `p`"),
]


@pytest.mark.parametrize(("target", "hints", "words"), HELD)
def test_instance_is_verified_at_its_own_p(target, hints, words):
    subject = resolve(target, **hints)
    assert subject.kind == "instance"
    assert subject.fixed_p == pytest.approx(0.1)
    assert words in subject.description
    assert dropped(subject, subject.fixed_p) == pytest.approx(0.1, abs=0.03)
    assert dropped(subject, subject.fixed_p, training=False) == 0
    with pytest.raises(ArgumentValueError, match=r"Expected `p` to be 0\.1.*got p=0\.5 \(float\)"):
        subject.build(0.5)


class NeverInPlace(InPlace):
    """It inherits an attribute that it does not use."""

    def __init__(self, p=0.5):
        super().__init__(p)


@pytest.mark.parametrize(
    ("target", "takes"),
    [
        (drop_in_place, True),
        (InPlace, True),
        (InPlace(0.5), True),
        (InPlace(0.5, inplace=True), True),
        (drop, False),
        (NeverInPlace, False),
        (NeverInPlace(0.5), False),
        (functools.partial(drop_in_place, inplace=False), False),
    ],
)
def test_what_takes_inplace_gets_it_where_it_is_requested(target, takes):
    subject = resolve(target)
    assert subject.takes_inplace is takes
    is_in_place = isinstance(target, nn.Module) and target.inplace
    assert ("with inplace=False except in `inplace-claim`" in subject.description) is is_in_place
    for inplace in (False, True) if takes else (False,):
        x = X.clone()
        subject.build(0.5, inplace=inplace).call(x, True)
        assert torch.equal(x, X) is not inplace


@pytest.mark.parametrize(
    "target",
    [
        functools.partial(drop, p=0.3),
        functools.partial(drop_keep, keep_prob=0.75),
        functools.partial(Wide, 4, p=0.3),
    ],
)
def test_a_target_with_a_p_is_built_at_that_p_alone(target):
    subject = resolve(target)
    p = subject.fixed_p
    assert dropped(subject, p) == pytest.approx(p, abs=0.03)
    with pytest.raises(ArgumentValueError, match=rf"`p` to be {p:g}, the p that .* got p=0\.7"):
        subject.build(0.7)


class ByArgument:
    """Not a module; its mode is an argument of the call."""

    def __init__(self, p):
        self.p = p

    def __call__(self, x, training):
        return F.dropout(x, self.p, training)


class ByMethod(Modeless):
    """Not a module; `train` sets the mode, to an attribute of another name."""

    is_on = True

    def train(self, mode):
        self.is_on = mode

    def __call__(self, x):
        return F.dropout(x, self.p, self.is_on)


class CountsModes(Modeless):
    """Its attribute is a number, not a mode."""

    training = 3


@pytest.mark.parametrize(
    ("made", "has_eval", "words"),
    [
        (nn.Dropout, True, ""),
        (Callable, True, ""),
        (ByMethod, True, ""),
        (ByArgument, True, ", called with training=training"),
        (Deterministic, True, ", called with deterministic=not training"),
        (Modeless, False, "; it has no training mode to set, so eval is not checked"),
        (CountsModes, False, "; it has no training mode to set, so eval is not checked"),
    ],
)
def test_how_what_was_built_is_put_into_a_mode(made, has_eval, words):
    for target in (made, made(0.5)):
        subject = resolve(target)
        assert subject.has_eval is has_eval
        assert subject.description.endswith(words)
        if not words:
            assert "mode" not in subject.description
            assert "called with" not in subject.description
        built = subject.build(0.5)
        assert (built.module is not None) is issubclass(made, nn.Module)
        assert 0.4 < (built.call(X, True) == 0).double().mean() < 0.6
        if has_eval:
            assert torch.equal(built.call(X, False), X)
            assert (built.call(X, True) == 0).any()
        else:
            with pytest.raises(TargetError, match="none to put it into eval mode"):
                built.call(X, False)


class Uncopied(Modeless):
    def __deepcopy__(self, memo):
        raise ValueError("only one")


def test_an_instance_that_cannot_be_copied_is_refused():
    with pytest.raises(TargetError, match=r"to survive copy\.deepcopy, got .*ValueError: only one"):
        resolve(Uncopied(0.5))


def only_training(*args):
    """In eval it refuses its arguments."""
    if len(args) == 3 and args[2] is not True:
        raise TypeError("no eval")
    return F.dropout(*args[:2])


def warns(*args):
    warnings.warn("as it does", stacklevel=1)
    return F.dropout(*args)


def test_a_trial_call_is_in_training_and_its_warnings_are_not_shown():
    assert "only_training(x, p, training)" in resolve(only_training).description
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        resolve(warns)
    assert shown == []


@pytest.mark.parametrize(
    ("names", "arguments", "call", "said"),
    [
        (P_NAMES, "scale=1.0, {}=0.5, training=True", "{}, training", "{}=p"),
        (KEEP_NAMES, "{}, training", "1 - {}, training", "{}=1 - p"),
        (TRAINING_NAMES, "p, {}", "p, {}", "{}=training"),
    ],
    ids=["p", "keep", "training"],
)
def test_every_name_is_found(names, arguments, call, said):
    for name in names:
        called = function(f"f(x, {arguments.format(name)})", f"x, {call.format(name)}")
        subject = resolve(called)
        assert said.format(name) in subject.description
        assert dropped(subject, 0.1) == pytest.approx(0.1, abs=0.03)
        assert dropped(subject, 0.1, training=False) == 0


# As it is written in GPT-2, BERT, Swin, AWD-LSTM, torchnlp and PyTorch's own convolutional models.
@pytest.mark.parametrize(
    "name",
    [
        *("attn_pdrop", "hidden_dropout_prob", "weight_p", "drop_path_rate", "classifier_dropout"),
        *("stochastic_depth_prob", "attn_drop_rate", "hiddenDropoutProb"),
    ],
)
def test_a_rate_may_say_of_which_dropout_it_is(name):
    made = layer(f"Layer(width=4, {name}=0.5)", f"self.{name}, self.training")
    for subject in (resolve(made), resolve(made(4, 0.1))):
        assert name in subject.description
        assert dropped(subject, 0.1) == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("target", [Parts, Parts()])
def test_of_the_rates_of_several_parts_one_must_be_stated(target):
    with pytest.raises(TargetError, match=r"several: `attn_dropout`, `hidden_dropout`.*--p-name"):
        resolve(target)
    p = 0.5 if target is Parts else 0.2
    assert dropped(resolve(target, p_name="hidden_dropout"), p) == pytest.approx(p, abs=0.03)


def test_of_several_rates_the_required_one_or_that_without_a_part_is_p():
    class Both(nn.Dropout):
        def __init__(self, attn_dropout=0.0, dropout=0.5):
            super().__init__(dropout)

    class Required(Parts):
        def __init__(self, hidden_dropout, attn_dropout=0.0):
            super().__init__(attn_dropout, hidden_dropout)

    assert "built as Both(dropout=p)" in resolve(Both).description
    bound = functools.partial(Parts, attn_dropout=0.3)
    for target in (Required, bound):
        assert "hidden_dropout=p" in resolve(target).description


# Scripted modules


class OwnRate(nn.Module):
    """Its p is an attribute, where that of nn.Dropout becomes a constant."""

    def __init__(self, drop_prob: float):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        return F.dropout(x, self.drop_prob, self.training)


@pytest.mark.parametrize(
    ("module", "where"),
    [(script(OwnRate(0.1)), "drop_prob"), (script(nn.Sequential(nn.Dropout(0.1))), "0.p")],
)
def test_a_scripted_module_is_read_as_the_module_that_it_was(module, where):
    subject = resolve(module)
    assert subject.description == f"scripted module instance, p=0.1 read from `{where}`"
    assert (subject.kind, subject.fixed_p, subject.takes_inplace) == ("instance", 0.1, False)
    assert subject.has_eval
    assert subject.spec.name == "plain"
    assert dropped(subject, 0.1) == pytest.approx(0.1, abs=0.03)
    assert dropped(subject, 0.1, training=False) == 0
    module.train()
    subject.build(0.1).call(X, False)
    assert module.training  # it is a copy that was set


def test_a_scripted_module_is_not_compiled():
    with pytest.raises(TargetError, match=r"torch\.compile does not accept"):
        resolve(script(nn.Dropout(0.1)), compile=True)


@pytest.mark.parametrize("p", ["0.1", None, True, float("nan"), float("-inf")])
def test_wrong_p_reaches_the_target_as_it_is(p):
    assert resolve(Quantity).build(p).module.amount is p
    if not isinstance(p, float):
        assert resolve(KeepDrop).build(p).module.keep_prob is p


class Raises(nn.Module):
    def __init__(self, p=0.5):
        super().__init__()
        raise RuntimeError("no such device")


NOTHING = "none of its arguments could be p"

# target, hints, words of the error: target or argument, expectation, what exists
NOT_UNDERSTOOD = [
    ("torch.nn:Dropuot", {}, ["'torch.nn:Dropuot'", "attribute 'Dropuot'", "Dropout"]),
    ("math:pi", {}, ["'math:pi'", "to be a module class", "3.14", "(float)"]),
    (None, {}, ["to be a module class", "None (NoneType)"]),
    (Wide, {}, ["Wide", "from the drop probability alone", "requires `width`", "partial"]),
    (Masked, {}, ["Masked", "called on a tensor alone", "requires `mask`"]),
    (nn.ReLU, {}, ["ReLU", "to take the drop probability", "(inplace)", NOTHING]),
    (nn.ReLU(), {}, ["'ReLU()'", "in one attribute", "none of its attributes could be p"]),
    (Raises, {}, ["to be built as Raises(p=0.5)", "got RuntimeError: no such device"]),
    (int, {}, ["'builtins:int'", "that can be called on a tensor", "0 (int)"]),
    (Quantity(0.1), {}, ["'Quantity()'", "in one attribute", "none", "--p-name"]),
    (nn.Sequential(nn.Dropout(0.1), nn.Dropout(0.2)), {}, ["several: `0.p`, `1.p`", "--p-name"]),
    (nn.Dropout(float("nan")), {}, ["a probability in [0, 1] in `p`", "nan (float)"]),
    (Wide(4, 1.5), {"p_name": "p"}, ["a probability in [0, 1] in `p`", "1.5 (float)"]),
    (Wide(4, "a"), {"p_name": "p"}, ["a probability in [0, 1] in `p`", "'a' (str)"]),
    (nn.Dropout(0.1), {"p_name": "q"}, ["the attribute 'q' that --p-name names", "no attribute"]),
    (nn.Dropout, {"p_name": "q"}, ["the argument 'q' that --p-name names", "(p, inplace)"]),
    (drop, {"keep_prob": "q"}, ["the argument 'q' that --keep-prob names", "(x, p, training)"]),
    (drop, {"training_name": "trainin"}, ["--training-name names", "close to it: training"]),
    (torch.relu, {}, ["'torch:relu'", "to take the drop probability", NOTHING]),
    (lambda: 0, {}, ["<lambda>", "to take a tensor", "the arguments ()"]),
    (lambda x, p, training, mask: x, {}, ["as f(x, p, training)", "requires `mask`", "partial"]),
    (lambda *a: int("1", *a), {}, ["f(x, p, training)", "<lambda>(x, p, training) raised"]),
]


@pytest.mark.parametrize(("target", "hints", "words"), NOT_UNDERSTOOD)
def test_error_says_what_was_expected_and_got(target, hints, words):
    with pytest.raises(TargetError) as info:
        resolve(target, **hints)
    message = str(info.value)
    assert message.startswith("Expected TARGET")
    assert "\n" not in message
    for word in words:
        assert word in message


IN_A_FILE = """
    import functools
    import torch

    def dropped(x, p, training):
        return torch.nn.functional.dropout(x, p, training)

    class Dropped(torch.nn.Dropout):
        pass

    half = Dropped()
    bound = functools.partial(Dropped, p=0.5)

    @torch.no_grad()  # which is made elsewhere
    def decorated(x, p, training):
        return dropped(x, p, training)
"""


def test_what_a_file_defines_has_a_place(tmp_path):
    path = tmp_path / "drops.py"
    path.write_text(textwrap.dedent(IN_A_FILE))
    lines = {"dropped": 5, "Dropped": 8, "half": 8, "bound": 8, "decorated": 14}
    for name, line in lines.items():
        for spec in (None, "locked"):  # also through a view
            assert resolve(f"{path}:{name}", spec=spec).place == (str(path), line)
    assert resolve(torch.dropout).place == ("", 0)


def test_names_must_be_text_and_name_one_probability():
    for argument in ("p_name", "keep_prob", "training_name"):
        expected = rf"Expected `{argument}` to be .*, got {argument}=3 \(int\)"
        with pytest.raises(ArgumentTypeError, match=expected):
            resolve(nn.Dropout, **{argument: 3})
    with pytest.raises(ArgumentValueError, match=r"`p_name` or `keep_prob`, not both.*'a'.*'b'"):
        resolve(nn.Dropout, p_name="a", keep_prob="b")


LATE = """
    import torch

    class Drop(torch.nn.Dropout):
        def forward(self, x):
            import late
            return super().forward(x) * late.SIGN
"""


def test_a_target_may_import_its_neighbours_in_its_calls(tmp_path):
    """`tests/_tools/test_loading.py` has the rest."""
    before = sys.path.copy(), set(sys.modules)
    for sign in (1, -1):
        (tmp_path / str(sign)).mkdir()
        (tmp_path / str(sign) / "drop.py").write_text(textwrap.dedent(LATE))
        (tmp_path / str(sign) / "late.py").write_text(f"SIGN = {sign}")
    for sign in (1, -1, 1):
        subject = resolve(f"{tmp_path}/{sign}/drop.py:Drop")
        assert subject.name == f"{tmp_path}/{sign}/drop.py:Drop"
        assert set(subject.build(0.1).call(X, True).sign().unique().tolist()) == {0, sign}
    assert not list(tmp_path.rglob("__pycache__"))
    assert sys.path == before[0]
    assert not {"late", "drop"} & (set(sys.modules) - before[1])


GREEDY = """
    import random, sys
    import numpy, torch
    torch.manual_seed(5); random.seed(5); numpy.random.seed(5)
    torch.set_default_dtype(torch.float64); torch.set_grad_enabled(False)
    sys.path.insert(0, "/nowhere")

    class Drop(torch.nn.Dropout):
        def __init__(self, p):
            super().__init__(p)
            torch.rand(3), random.random(), numpy.random.rand()
"""


def test_generators_and_settings_stay_as_they_were(tmp_path):
    path = tmp_path / "greedy.py"
    path.write_text(textwrap.dedent(GREEDY))
    drawn = []
    for is_resolved in (True, False):
        torch.manual_seed(1), random.seed(1), np.random.seed(1)
        if is_resolved:
            resolve(f"{path}:Drop")
        drawn.append((torch.rand(1).item(), random.random(), np.random.rand()))
    assert drawn[0] == drawn[1]
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


def test_names_of_objects(monkeypatch):
    assert resolve(nn.Dropout).name == "torch.nn.modules.dropout:Dropout"
    assert resolve(F.dropout).name == "torch.nn.functional:dropout"
    assert resolve(torch.dropout).name == "torch:dropout"
    assert resolve(nn.Dropout(0.1)).name == "Dropout(p=0.1, inplace=False)"
    assert resolve(Callable(0.1)).name == "Callable"
    monkeypatch.setattr(drop, "__module__", None)
    assert resolve(drop).name == "drop"


def test_a_target_that_says_that_it_has_no_gradient_has_none():
    def own(x, p, training):
        return x

    for value, has in ((False, False), (True, True), (None, True)):
        own.has_gradient = value
        assert resolve(own).has_gradient is has
    assert resolve(drop).has_gradient is True
