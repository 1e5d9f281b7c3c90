"""TD115: a parameter for a dropout that nothing uses."""

import pytest
import torch

from _marks import HEAD, marked
from _sources import findings_in
from torchdropout_audit.registry import RULES
from torchdropout_audit.source import audit_text

NAME = "dropout-parameter-unused"


@pytest.mark.parametrize(
    "name",
    [
        "dropout",
        "drop",
        "drop_rate",
        "dropRate",
        "p_drop",
        "pdrop",
        "attn_pdrop",
        "dropout_p",
        "drop_prob",
        "drop_path",
        "drop_path_rate",
        "hidden_dropout_prob",
        "dropout_ratio",
        "use_dropout",
        "dropouts",
        "dropoute",
        "dropatt",
        "dropout_first",
        "drop_rate_last",
        "p_drop_hidden",
        "attn_dropout_a",
        "drop_attn",
        "drop_mlp",
        "dropout1",
        "dropout_2",
        "dropouti",
        "keep_prob",
        "mlp_keep_prob",
        "do_rate",
        "dropLayer",
        "p_dropout_fc",
    ],
)
def test_names(name):
    source = f"""
    class A(nn.Module):
        def __init__(self, dim, {name}=0.1):  #?
            super().__init__()
            self.linear = nn.Linear(dim, dim)
    """
    found, expected = marked(NAME, source)
    assert found == expected


@pytest.mark.parametrize(
    "name",
    [
        "drop_last",
        "dropout_mask",
        "drop_duplicates",
        "backdrop",
        "_dropout",
        "dropped",
        "raindrops",
        "drop_first",
        "drop_text",
        "drop_audio",
        "drop_video",
        "drop_cls",
        "drop_features",
        "drop_input",
        "out_dropped",
        "mlp_rate",
        "rate_fc",
        "fc_drop_out_name",
        "the_dropout_layer_attn",
        "dropout_layer",
        "dropout_type",
    ],
)
def test_other_names(name):
    source = f"""
    class A(nn.Module):
        def __init__(self, dim, {name}=0.1):
            super().__init__()
            self.linear = nn.Linear(dim, dim)
    """
    assert marked(NAME, source) == ([], [])


@pytest.mark.parametrize(
    "excuse",
    [
        "unused",
        "not used",
        "ignored, for old checkpoints",
        "noqa: ARG002",
        "pylint: disable=unused-argument",
        "TODO",
        "kept for backward compatibility",
    ],
)
def test_excuses(excuse):
    said = f"def f(x, dropout):  # {excuse}\n    return nn.Linear(x, x)"
    assert marked(NAME, said) == ([], [])
    assert marked(NAME, "def f(x, dropout):  #?\n    return nn.Linear(x, x)")[0] != []


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("dropout: unused", False),
        (":param dropout: unused", False),
        ("Not used: x, dropout", False),
        ("x: unused", True),
        (":param x: unused", True),
        (":param x: the size\n      of it, unused", True),
        (":param x: the size\n\n    This is unused.", False),
    ],
)
def test_an_excuse_in_a_docstring_may_be_about_another_parameter(line, is_found):
    mark = "  #?" if is_found else ""
    source = f'def f(x, dropout):{mark}\n    """Build it.\n\n    {line}\n    """\n'
    found, expected = marked(NAME, f"{source}    return nn.Linear(x, x)\n")
    assert found == expected


def test_an_excuse_in_the_body_is_about_something_else():
    source = """
    def f(x, dropout):  #?
        y = x
        # deprecated layers are not used
        return nn.Linear(x, y)
    """
    found, expected = marked(NAME, source)
    assert found == expected != []


@pytest.mark.parametrize("reader", ["locals()", "vars()", "save_hyperparameters()", "store_attr()"])
def test_what_reads_all_names(reader):
    assert marked(NAME, f"def f(x, dropout):\n    {reader}\n    return nn.Linear(x, x)")[0] == []


def test_each_parameter_is_a_finding():
    source = """
    def f(
        x,
        dropout,  #?
        attn_drop=0.0,  #?
        path_drop=0.0,
    ):
        return nn.Sequential(nn.Linear(x, x), nn.Dropout(path_drop))
    """
    found, expected = marked(NAME, source)
    assert found == expected
    assert len(expected) == 2


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("self.fc = size", "accepted and never used"),
        ("self.fc, self.dropout = size, dropout", "stored and never read"),
        ("dropout = 0.5\n        self.fc = nn.Dropout(dropout * size)", "accepted and never used"),
        ("print(dropout)\n        self.fc = size", "accepted and never used"),
        ("print(dropout)\n        self.fc = self.dropout = float(dropout)", ""),
        ("print(dropout)\n        self.fc, self.dropout = size, dropout", "stored and never read"),
        ("self.dropout = float(dropout)\n        self.fc = print(dropout, size)",
         "stored and never read"),
        ("assert isinstance(dropout, float)\n        self.fc = size", ""),
        ("size.dropout = dropout\n        self.fc = size", ""),
    ],
)  # fmt: skip
def test_what_becomes_of_a_parameter(body, what):
    text = f"""{HEAD}
class A(nn.Module):
    def __init__(self, size, dropout=0.1):
        super().__init__()
        {body}
    def forward(self, x):
        return x + self.fc
"""
    said = [each.message for each in audit_text(text, "src/model.py", {NAME})]
    assert said == ([f"dropout is {what}: it has no effect"] if what else [])


@pytest.mark.parametrize(("which", "rate"), [("broken", 0.5), ("fixed", 0.25)])
def test_what_torch_does(which, rate):
    scope = {}
    exec(getattr(RULES[NAME], which), scope)
    drop = next(m for m in scope["MLP"](4, 8, 0.25).modules() if isinstance(m, torch.nn.Dropout))
    assert drop.p == rate


UNUSED = """\
from torch import nn

class Net(nn.Module):
    def __init__(self, size, dropout=0.1):
        super().__init__()
        self.fc = nn.Linear(size, size)

    def forward(self, x):
        return self.fc(x)
"""


class TestOfOtherFiles:
    """A class that another file stores may be built with the arguments of others."""

    @pytest.mark.parametrize(
        ("main", "found"),
        [
            ("Net(8)", [(4, "advice")]),
            ("x: Net = Net(8, dropout=0.5)", [(4, "advice")]),
            ("KINDS = {'net': Net, 'other': Other}", []),
            ("Block(layer=Net)", []),
            ("layer = Net", []),
        ],
    )
    def test_its_signature_may_be_that_of_others(self, main, found, tmp_path):
        files = {"net.py": UNUSED, "main.py": f"from net import Net\n{main}\n"}
        assert findings_in(tmp_path, files, "net.py", NAME) == found

    @pytest.mark.parametrize(("read", "found"), [("x", [(5, "advice")]), ("self.dropout", [])])
    def test_a_base_reads_what_is_stored(self, read, found, tmp_path):
        base = f"from torch import nn\nclass Base(nn.Module):\n    def f(self, x): return {read}\n"
        net = UNUSED.replace("\n", "\nfrom base import Base\n", 1).replace("nn.Module", "Base")
        net = net.replace("        self.fc =", "        self.dropout = dropout\n        self.fc =")
        net = net.replace("self.fc(x)", "self.f(x)")
        files = {"net.py": net, "base.py": base}
        assert findings_in(tmp_path, files, "net.py", NAME) == found


def test_a_comment_at_the_end_is_no_excuse_for_the_first_line():
    text = "def f(torch, dropout): return torch + 1\n\n# not used"
    assert len(audit_text(text, "src/model.py", {NAME})) == 1


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("loss.backward()", True),
        ("self.optimizer.step()", True),
        ("optim_g.step()", True),
        ("self.optimizer.zero_grad()", False),
        ("self.scheduler.step()", False),
        ("step(optimizer)", False),
        ("print(self.rate)", False),
    ],
)
def test_what_a_class_that_trains_stores(line, is_found):
    source = f"""
class Runner:
    def __init__(self, rate, dropout):{"  #?" if is_found else ""}
        self.rate = rate
        self.dropout = dropout
    def run(self, loss, optim_g):
        {line}
        return self.rate
"""
    found, expected = marked(NAME, source)
    assert found == expected


@pytest.mark.parametrize(
    ("parameters", "body", "is_found"),
    [
        ("drop_path", "F.dropout(x, drop_path)", True),
        ("a, b, c", "a + b + c", True),
        ("drop_path, mask", "F.dropout(x, drop_path)", False),
        ("a, b, c, mask", "a + b + c", False),
        ("size, mask", "F.dropout(size, 0.5)", False),
        ("mask", "F.dropout(y, 0.5)", False),
        ("a, b, drop=0.1", "a + b", True),
        ("a, b, mask, drop=0.1", "a + b", False),
    ],
)
def test_other_unused_parameters_of_a_function(parameters, body, is_found):
    mark = "  #?" if is_found else ""
    parameters += "" if "drop=" in parameters else ", dropout=0.0"
    source = f"def f({parameters}):{mark}\n    return {body}"
    found, expected = marked(NAME, source)
    assert found == expected


FORWARD = "    def forward(self, x): return self.fc(x)\n"


@pytest.mark.parametrize(
    ("rest", "is_found"),
    [
        (FORWARD, True),
        ("", False),
        ("    def forward(self, x): raise NotImplementedError", False),
        (f"{FORWARD}class B(A):\n    def forward(self, x): return x", True),
        (f"{FORWARD}class B(A):\n    def forward(self, x): raise NotImplementedError", False),
        (f"{FORWARD}class B(A):\n    def f(self): return self.dropout", False),
        (f"{FORWARD}class B(A): ...\nclass C(B):\n    def f(self): return self.dropout", False),
        (f"{FORWARD}class B:\n    def f(self): return self.drop", True),
        (f"    # TODO: self.dropout is for the trainer\n{FORWARD}", False),
    ],
)
def test_what_else_may_read_what_a_module_stores(rest, is_found):
    source = f"""
class A(nn.Module):
    def __init__(self, size, dropout):{"  #?" if is_found else ""}
        super().__init__()
        self.fc, self.dropout = nn.Linear(size, size), dropout
{rest}
"""
    found, expected = marked(NAME, source)
    assert found == expected


@pytest.mark.parametrize(("count", "is_found"), [(3, True), (60, False)])
def test_a_class_of_many_subclasses_is_not_read(count, is_found):
    source = f"""
class A(nn.Module):
    def __init__(self, size, dropout):{"  #?" if is_found else ""}
        super().__init__()
        self.fc = nn.Linear(size, size)
    def forward(self, x):
        return self.fc(x)
""" + "".join(f"class A{i}(A): ...\n" for i in range(count))
    found, expected = marked(NAME, source)
    assert found == expected


@pytest.mark.parametrize(
    ("given", "is_found"),
    [("dropout=0", True), ("dropout=0.0", True), ("dropout=0.3", False), ("size=0", False)],
)
def test_a_rate_of_which_a_class_gives_zero(given, is_found):
    """With a decorator, of which the signature may be a reason, it is found all the same."""
    source = f"""
class A(nn.Module):
    @wrapped
    def __init__(self, size, dropout=0.1):{"  #?" if is_found else ""}
        super().__init__()
        self.fc = nn.LSTM(size, size, {given})
    def forward(self, x):
        return self.fc(x)
"""
    found, expected = marked(NAME, source)
    assert found == expected


@pytest.mark.parametrize("bases", ["Base", "Middle"])
def test_a_method_that_a_base_has_keeps_its_signature(bases):
    source = f"""
class Base(nn.Module):
    def block(self, x, dropout=0.1):
        raise NotImplementedError
class Middle(Base):
    pass
class A({bases}):
    def forward(self, x):
        return self.block(x, 0.5)
    def block(self, x, dropout=0.1):
        return x + 1
"""
    assert marked(NAME, source) == ([], [])


MIXED_IN = """
from torch import nn
from rated import Rated

class Net(Rated, nn.Module):
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        self._dropout = dropout
        self.fc = nn.Linear(dim, dim)

    def forward(self, x):
        return self.fc(x)
"""


@pytest.mark.parametrize(
    ("said", "found"), [("self._dropout", []), ("self._other", [(6, "advice")])]
)
def test_a_property_of_a_base_in_another_file(said, found, tmp_path):
    rated = f"class Rated:\n    @property\n    def rate(self):\n        return {said}\n"
    files = {"net.py": MIXED_IN, "rated.py": rated}
    assert findings_in(tmp_path, files, "net.py", NAME) == found
