"""What the observer of a model's audit takes for a dropout, a draw and a mask."""

import contextlib
import math
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import torchdropout as td
from torchdropout.audit_model.observer import (
    Declared,
    Observer,
    Record,
    _draws,
    _is_masked,
    _is_zero,
    _joined,
    _known,
    declared,
    is_users,
    shortened,
)

aten = torch.ops.aten
X = torch.ones(4, 8)
BOOLS = torch.ones(4, 8, dtype=torch.bool)


# --- Records --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ([0.1], 0.1),
        ([0.1, 0.3, 0.2], 0.3),
        ([1], 1.0),
        ([0.3, None], 0.3),
        ([torch.tensor(0.5)], 0.5),
        ([torch.tensor([0.5])], None),
        ([torch.tensor(0.5, device="meta")], None),
        ([torch.tensor(True)], None),
        ([True], None),
        (["0.5"], None),
        ([None], None),
    ],
)
def test_the_largest_p_is_noted(given, asked):
    record = Record("a", "Dropout", "net.py:3")
    for p in given:
        record.ask(p)
    assert record.asked == asked
    assert type(record.asked) in (float, type(None))


def test_a_record_at_first():
    record = Record("a", "Dropout", "net.py:3")
    assert (record.asked, record.known, record.sure) == (None, True, True)
    flags = record.frozen, record.is_lost, record.on, record.is_module
    assert flags == (False,) * 4
    counts = record.layers, record.calls, record.empty, record.zeros, record.values, record.kept
    assert counts == (0,) * 6
    assert record.saved == set()
    assert Declared("Dropout", 0.5) == ("Dropout", 0.5, 0, True)


@pytest.mark.parametrize(
    ("is_module", "is_lost", "line"),
    [(True, False, ""), (True, True, "net.py:3"), (False, False, "net.py:3")],
)
def test_a_module_in_the_tree_is_one_site_whatever_calls_it(is_module, is_lost, line):
    record = Record("a", "Dropout", "net.py:3", is_module=is_module, is_lost=is_lost)
    assert record.key == ("a", "Dropout", line)


# --- Modules --------------------------------------------------------------------------------------


class Tuned(td.nn.Dropout):
    pass


class DropPath(nn.Module):
    def __init__(self, **numbers):
        super().__init__()
        for name, number in numbers.items():
            setattr(self, name, number)


class DropBlock(nn.Module):
    p = 0.5

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.1)


class Attention(nn.MultiheadAttention):
    pass


class Plain(nn.Module):
    dropout, num_layers = 0.5, 2


def encoder_layer():
    return nn.TransformerEncoderLayer(4, 2, 4, batch_first=True)


def recurrent(layers=2, kind=td.nn.LSTM, **rates):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dropout in one layer
        return kind(4, 4, layers, **rates)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: nn.Dropout(0.3), Declared("Dropout", 0.3)),
        (lambda: nn.AlphaDropout(0), Declared("AlphaDropout", 0.0)),
        (lambda: td.nn.Dropout(0.3), Declared("torchdropout.nn.Dropout", 0.3)),
        (lambda: Tuned(0.3), Declared("Tuned", 0.3)),
        (lambda: nn.MultiheadAttention(4, 2, 0.3), Declared("MultiheadAttention", 0.3)),
        (lambda: Attention(4, 2, 0.3), Declared("Attention", 0.3)),
        (lambda: nn.MultiheadAttention(4, 2), None),
        (lambda: recurrent(kind=nn.LSTM, dropout=0.3), Declared("LSTM", 0.3, 2)),
        (lambda: recurrent(1, nn.GRU, dropout=0.3), Declared("GRU", 0.3, 1)),
        (lambda: recurrent(kind=nn.RNN), None),
        (lambda: nn.TransformerEncoder(encoder_layer(), 2), None),
        (encoder_layer, None),
        (Plain, None),
        (nn.Identity, None),
        (lambda: DropPath(drop_prob=0.3), Declared("DropPath", 0.3, sure=False)),
        (lambda: DropPath(p=0.1, drop_prob=0.3), Declared("DropPath", 0.1, sure=False)),
        (lambda: DropPath(p=None, rate=1), Declared("DropPath", 1.0, sure=False)),
        (lambda: DropPath(p=True, prob=0.0), Declared("DropPath", 0.0, sure=False)),
        (lambda: DropPath(p="0.5"), Declared("DropPath", None, sure=False)),
        (DropBlock, None),  # its parts are dropouts
    ],
)
def test_what_a_module_declares(make, expected):
    assert declared(make()) == expected


@pytest.mark.parametrize(
    ("layers", "rates", "expected"),
    [
        (2, {}, None),
        (2, {"dropout": 0.3}, (0.3, 2)),
        (1, {"dropout": 0.3}, (0.3, 1)),
        (2, {"recurrent_dropout": 0.3}, (0.3, 0)),
        (2, {"input_dropout": 0.3, "zoneout_hidden": 0.3}, (0.3, 0)),
        (2, {"input_dropout": 0.3, "zoneout_cell": 0.2}, (None, 0)),
        (2, {"dropout": 0.2, "recurrent_dropout": 0.3}, (None, 0)),
        (2, {"dropout": 0.3, "recurrent_dropout": 0.3}, (0.3, 0)),
        (1, {"dropout": 0.2, "recurrent_dropout": 0.3}, (0.3, 0)),
    ],
)
def test_what_a_recurrent_module_of_ours_declares(layers, rates, expected):
    found = declared(recurrent(layers, **rates))
    assert found == (expected and Declared("torchdropout.nn.LSTM", *expected))


def test_the_classes_of_torchvision_are_known():
    from torchvision.ops import StochasticDepth

    assert declared(StochasticDepth(0.3, "row")) == Declared("StochasticDepth", 0.3)


# --- Functions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "kind", "arguments"),
    [
        (torch.dropout, "torch.dropout", {"input": None, "p": None, "train": None}),
        (F.dropout, "F.dropout", {"input": None, "p": 0.5, "training": True, "inplace": False}),
        (td.functional.drop_path, "torchdropout.functional.drop_path", None),
        (td.functional.scaled_dot_product_attention, "torchdropout.functional.", None),
        (td.functional.gaussian_noise, None, None),
        (F.relu, None, None),
        (torch.add, None, None),
        (len, None, None),
    ],
)
def test_the_functions_that_are_known(function, kind, arguments):
    known = _known(function)
    if kind is None:
        assert known is None
        return
    assert known[0].startswith(kind)
    assert arguments is None or known[1] == arguments


# --- Operators ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "args", "draws"),
    [
        (aten.bernoulli.p, (X, 0.5), True),
        (aten.add.Tensor, (X, X), False),
        (aten.native_dropout.default, (X, 0.5, True), True),
        (aten.native_dropout.default, (X, 0.5, False), False),
        (aten.rrelu_with_noise.default, (X, X, 0.1, 0.2, True), True),
        (aten.rrelu_with_noise.default, (X, X), False),
        (aten.scaled_dot_product_attention.default, (X, X, X, None, 0.5), True),
        (aten.scaled_dot_product_attention.default, (X, X, X, None, 0.0), False),
        (aten.scaled_dot_product_attention.default, (X, X, X), False),
        (aten.lstm.input, (X, [X], [X], True, 2, 0.5, True), True),
        (aten.lstm.input, (X, [X], [X], True, 2, 0.5, False), False),
        (aten.lstm.input, (X, [X], [X], True, 2, 0.0, True), False),
        (aten.batch_norm.default, (X, X, X, X, X, True), False),
    ],
)
def test_what_an_operator_draws(function, args, draws):
    assert _draws(function, args) == draws


@pytest.mark.parametrize(
    ("args", "draws"), [((X, 0.5, True), True), ((X, 0.0, True), False), ((X, 0.5), False)]
)
def test_an_operator_without_the_tag_draws_where_it_is_told_to(args, draws):
    library = torch.library.Library("td_test_observer", "FRAGMENT")
    library.define("attend(Tensor x, float dropout_p=0.0, bool training=False) -> Tensor")
    try:
        assert _draws(torch.ops.td_test_observer.attend.default, args) == draws
    finally:
        library._destroy()


@pytest.mark.parametrize(
    ("name", "args", "others", "expected"),
    [
        ("mul", (X, BOOLS), [X], True),
        ("mul", (BOOLS, BOOLS), [BOOLS], False),
        ("mul", (X, BOOLS), [BOOLS, X], True),
        ("mul", (X, BOOLS), [X.to(torch.complex64)], True),
        ("mul", (X, BOOLS), [], False),
        ("masked_fill", (X, BOOLS, 0), [X], True),
        ("masked_fill", (X, BOOLS, -math.inf), [X], True),
        ("masked_fill", (X, BOOLS, math.inf), [X], False),
        ("masked_fill", (X, BOOLS, 1.0), [X], False),
        ("masked_fill", (BOOLS, X, 0), [X], False),
        ("index_put_", (X, [BOOLS], torch.tensor(0.0)), [X], True),
        ("index_put_", (X, [BOOLS, torch.tensor([0])], torch.tensor(0.0)), [X], True),
        ("index_put_", (X, [None, BOOLS], torch.tensor(1.0)), [X], False),
        ("where", (BOOLS, X, 0.0), [X], True),
        ("where", (BOOLS, 0.0, X), [X], True),
        ("where", (BOOLS, X, 1.0), [X], False),
        ("where", (X > 0, BOOLS, 0.0), [X], False),
        ("where", (BOOLS,), [X], False),
    ],
)
def test_what_uses_a_mask(name, args, others, expected):
    assert _is_masked(name, args, BOOLS, others) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, True),
        (0.0, True),
        (-0.0, True),
        (1, False),
        (False, False),
        (None, False),
        (torch.tensor(0.0), True),
        (torch.tensor(2.0), False),
        (torch.tensor([0.0]), False),
        (torch.tensor(0.0, device="meta"), False),
    ],
)
def test_what_is_zero(value, expected):
    assert _is_zero(value) == expected


# --- Observing ------------------------------------------------------------------------------------


def observed(call, model=None, folders=(), **arguments):
    """The observer of a call; the modules have the names that they have in the model."""
    found = {id(module): name for name, module in (model or nn.Identity()).named_modules()}
    observer = Observer(found, folders, **arguments)
    with observer.observing():
        call()
    return observer


def test_the_modules_that_are_called():
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.ReLU())
    observer = observed(lambda: model[:2](X), model)
    assert {id(model[0]), id(model[1])} < observer.called
    assert id(model[2]) not in observer.called
    (record,) = observer.records.values()
    assert (record.name, record.calls, record.is_module, record.is_lost) == ("1", 1, True, False)


@pytest.mark.parametrize("mode", [True, False])
def test_a_function_in_a_module_that_is_in_eval_is_frozen(mode):
    class Dropping(nn.Module):
        def forward(self, x):
            return F.dropout(x, 0.5)

    model = nn.Sequential(Dropping()).train(mode)
    (record,) = observed(lambda: model(X), model).records.values()
    assert (record.name, record.kind, record.frozen) == ("0", "F.dropout", not mode)
    (record,) = observed(lambda: F.dropout(X, 0.5)).records.values()
    assert (record.name, record.frozen, record.is_module) == ("", False, False)


@pytest.mark.parametrize("mode", [True, False])
def test_a_dropout_is_frozen_with_the_module_around_it(mode):
    model = nn.Sequential(nn.Dropout(0.5)).train(mode)
    model[0].train(not mode)
    (record,) = observed(lambda: model(X), model).records.values()
    assert record.frozen is not mode
    (record,) = observed(lambda: model[0](X), model).records.values()
    assert record.frozen is mode  # nothing is around it


def test_a_module_outside_the_tree_is_named_by_its_class():
    model = nn.Sequential(nn.Identity())
    model[0].forward = lambda x: nn.Dropout(0.5)(x)
    (record,) = observed(lambda: model(X), model).records.values()
    assert (record.name, record.is_lost) == ("0.<Dropout>", True)


def test_a_module_that_raises_is_left():
    class Failing(nn.Module):
        def forward(self, x):
            raise ValueError

    class Trying(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Failing()

        def forward(self, x):
            with contextlib.suppress(ValueError):
                self.inner(x)
            return F.dropout(x, 0.5)

    model = nn.Sequential(Trying())
    (record,) = observed(lambda: model(X), model).records.values()
    assert record.name == "0"


@pytest.mark.parametrize(
    ("p", "training", "on"), [(1.0, True, True), (1, True, True), (1.0, False, False)]
)
def test_a_function_that_drops_all_draws_nothing(p, training, on):
    (record,) = observed(lambda: F.dropout(X, p, training)).records.values()
    assert (record.on, record.asked, record.values) == (on, 1.0, 0)


@pytest.mark.parametrize("kind", [nn.LSTM, td.nn.LSTM])
@pytest.mark.parametrize(
    ("layers", "p", "training", "on"),
    [(2, 1.0, True, True), (2, 1.0, False, False), (1, 1.0, True, False), (1, 0.5, True, False)],
)
def test_a_recurrent_module_drops_all_between_its_layers(kind, layers, p, training, on):
    rnn = recurrent(layers, kind, dropout=p).train(training)
    (record,) = observed(lambda: rnn(torch.ones(1, 1, 4)), rnn).records.values()
    assert (record.on, record.asked, record.layers) == (on, p, layers)


@pytest.mark.parametrize(("p", "asked"), [(0.1, 0.1), ("unknown", 0.4)])
def test_a_function_in_a_dropout_says_its_p_where_the_module_does_not(p, asked):
    drop = DropPath(p=p)
    drop.forward = lambda x: F.dropout(x, 0.4)
    (record,) = observed(lambda: drop(X), drop).records.values()
    assert (record.kind, record.calls, record.asked) == ("DropPath", 1, asked)


def test_a_key_of_ours_belongs_to_the_line_that_draws_it():
    """As any other mask that no known dropout draws."""

    def call():
        key = torch.randint(2**62, (2,))
        line.append(Record("", "", Observer({}, ())._line()).line)
        torch.ops.torchdropout.masked_affine(X, key, 0.3, 1.0, 0.0, 0.0, 0, [8, 1])

    line = []
    (record,) = observed(call).records.values()
    assert int(record.line.rpartition(":")[2]) == int(line[0].rpartition(":")[2]) - 1


def test_a_function_with_an_empty_input():
    calls = (torch.ones(0, 4), X, torch.ones(4, 0))

    def call():
        for x in calls:
            F.dropout(x, 0.5, False)

    (record,) = observed(call).records.values()
    assert (record.calls, record.empty) == (3, 2)


def test_the_rates_of_masks():
    def call():
        mask = torch.rand(64, 64) < 0.25
        torch.where(mask, 0.0, torch.ones(64, 64))

    (record,) = observed(call).records.values()
    assert (record.known, record.on, record.calls, record.values) == (False, True, 1, 64 * 64)
    assert abs(record.zeros / record.values - 0.25) < 0.05


@pytest.mark.parametrize(
    "use",
    [
        lambda mask, x: x * mask,
        lambda mask, x: torch.where(mask, x, 0.0),
        lambda mask, x: x.masked_fill(~mask, 0.0),
    ],
)
def test_zeros_are_where_a_mask_drops(use):
    """With a mask that keeps almost everything, so that the two sides cannot be confused."""
    (record,) = observed(lambda: use(torch.rand(64, 64) < 0.9, torch.ones(64, 64))).records.values()
    assert 0.05 < record.zeros / record.values < 0.15


def test_a_mask_that_is_used_twice_is_one_call():
    def call():
        for _ in range(3):
            mask = torch.bernoulli(torch.full((4, 8), 0.5))
            for x in (X, X + 1):
                torch.mul(x, mask)

    (record,) = observed(call).records.values()
    assert (record.calls, record.values) == (3, 6 * X.numel())


def test_memory_that_is_overwritten_is_no_mask():
    def call():
        mask = torch.bernoulli(torch.full((4, 8), 0.5))
        mask.copy_(X)
        return X * mask

    assert not observed(call).records


@pytest.mark.parametrize(
    ("training", "p", "expected"), [(True, 0.5, [""]), (False, 0.5, []), (True, 0.0, [])]
)
def test_a_fast_path_with_a_dropout_in_train(training, p, expected):
    layer = nn.TransformerEncoderLayer(8, 2, 8, p, batch_first=True).eval()
    layer.dropout.train(training)
    with torch.no_grad():
        observer = observed(lambda: layer(X[None]), layer, functions=False)
    assert observer.fast == expected


def test_the_dropouts_of_other_modules_do_not_count_for_a_fast_path():
    layer = nn.TransformerEncoderLayer(8, 2, 8, 0.0, batch_first=True).eval()
    model = nn.Sequential(layer, nn.Dropout(0.5).train())
    with torch.no_grad():
        assert observed(lambda: model(X[None]), model, functions=False).fast == []


def test_what_a_hook_of_backward_keeps_is_counted_once():
    x = X.clone().requires_grad_()

    def call():
        mask = torch.bernoulli(torch.full((4, 8), 0.5))
        return x * mask + x.exp() * mask

    (record,) = observed(call).records.values()
    assert record.kept == 4 * X.numel()
    with torch.no_grad():
        (record,) = observed(call).records.values()
    assert record.kept == 0


def test_a_backward_within_a_call_has_what_was_saved():
    def call():
        (gradient,) = torch.autograd.grad((x * x).sum(), x)
        assert torch.equal(gradient, 2 * x)

    x = X.clone().requires_grad_()
    observed(call)


# --- Lines ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "folders", "shown"),
    [
        ("/a/b/c.py", ["/a", "/a/b"], "b/c.py"),
        ("/a/b/c.py", ["/d", "/a/b", "/a"], "c.py"),
        ("/a/b/c.py", ["/d"], "/a/b/c.py"),
        ("/a/b/c.py", [], "/a/b/c.py"),
        ("/a/site-packages/b/c.py", ["/a", "/a/site-packages"], "b/c.py"),
    ],
)
def test_a_path_is_shown_from_the_first_folder_that_it_is_in(path, folders, shown):
    assert shortened(path, tuple(map(Path, folders))) == shown


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (__file__, True),
        (torch.nn.modules.dropout.__file__, False),
        (td.nn.__file__, False),
        (str(Path(td.__file__).parents[1] / "other.py"), True),  # next to this package
        ("<frozen importlib._bootstrap>", False),
        (str(Path(torch.__file__).parent) + "vision/ops/misc.py", True),
    ],
    ids=["this", "torch", "ours", "next to ours", "frozen", "torchvision"],
)
def test_whose_a_file_is(path, expected):
    assert is_users(path) == expected


@pytest.mark.parametrize(
    ("parts", "expected"), [(("", "a"), "a"), (("a", "b"), "a.b"), (("a", ""), "a"), ((), "")]
)
def test_names_are_joined(parts, expected):
    assert _joined(*parts) == expected
