"""TD131: the dropout of an RNN with one layer."""

import warnings

import pytest

from _marks import HEAD, marked
from _sources import findings_in
from torchdropout_audit.registry import RULES
from torchdropout_audit.run import audit_paths
from torchdropout_audit.source import audit_text

NAME = "rnn-dropout-without-effect"
BAD = [
    "def f(cell, n=1): return cell(8, 8, n, dropout=0.5)  #!\nf(nn.LSTM)\nf(nn.GRU)",
    "nn.LSTM(8, 8, dropout=0.5)  #!",
    "def make(**kw): return nn.LSTM(**kw)\nmake(dropout=0.5)  #!\nnn.Linear(**options)",
    "class A(nn.LSTM):\n    def __init__(self): super().__init__(8, 8, dropout=0.5)  #!",
    "nn.GRU(8, 8, num_layers=1, dropout=0.5, bidirectional=True)  #!",
    "nn.RNN(8, 8, 1, 'tanh', True, False, 0.5)  #!",
    "nn.LSTM(8, 8, 1, True, False, 0.5)  #!",
    "P, LAYERS = 0.5, 1\nnn.LSTM(8, 8, LAYERS, dropout=P)  #!",
    "def f(p=0.2): return nn.LSTM(8, 8, dropout=p)  #!",
    "class A(nn.Module):\n    def __init__(self, p=0.2):\n        self.p = p\n"
    "        self.rnn = nn.LSTM(8, 8, dropout=self.p)  #!",
]
ADVICE = [
    "def f(n=1): return nn.LSTM(8, 8, n, dropout=0.5)  #?",
    "def f(n=1, p=0.5): return nn.LSTM(8, 8, num_layers=n, dropout=p)  #?",
    "class A(nn.Module):\n    def __init__(self, n=1, p=0.5):\n        self.n = n\n"
    "        self.rnn = nn.LSTM(8, 8, n, dropout=p)  #?",
    "def f(p): return nn.LSTM(8, 8, dropout=p)  #?",
    "def f(p=0.0): return nn.LSTM(8, 8, 1, dropout=p)  #?",
    "def f(cfg): return nn.GRU(8, 8, dropout=cfg.dropout)  #?",
    "def f(cfg): return nn.GRU(8, 8, dropout=cfg['dropout'])  #?",
    "def f(drops): return nn.LSTM(8, 8, dropout=0.5 if drops else 0.0)  #?",
    "def f(p=0.0): return nn.LSTM(8, 8, 1, dropout=p)  #?\nf()",
    "def f(p, q, on): return nn.LSTM(8, 8, dropout=p if on else q)  #?",
    "def f(p, on): return nn.LSTM(8, 8, dropout=0.5 if on else p)  #?",
    "def f(keep): return nn.LSTM(8, 8, dropout=1 - keep)  #?",
    "def f(p): return nn.LSTM(8, 8, dropout=float(p))  #?",
    "def f(cfg): return nn.LSTM(8, 8, dropout=cfg.get('dropout', 0.1))  #?",
]
CLEAN = [
    "nn.LSTM(8, 8, 2, dropout=0.5)",
    "nn.LSTM(8, 8, num_layers=n, dropout=0.5)",
    "def f(n): return nn.LSTM(8, 8, n, dropout=0.5)",
    "def f(n=2): return nn.LSTM(8, 8, n, dropout=0.5)",
    "def f(n=1, p=0.0): return nn.LSTM(8, 8, n, dropout=p)",
    "def f(p, n=1): return nn.LSTM(8, 8, n, dropout=p)",
    "def f(n=1):\n    if n > 1: return nn.LSTM(8, 8, n, dropout=0.5)",
    "def f(n=1): return nn.LSTM(8, 8, n, dropout=0.5)\nf(3)",
    "class A(nn.Module):\n    def __init__(self, n=1):\n"
    "        self.rnn = nn.LSTM(8, 8, n, dropout=0.5)\nA(3)",
    "def f(n=1): return nn.LSTM(8, 8, n, dropout=0.5 * (n > 1))",
    "def f(n, p=0.0): return nn.LSTM(8, 8, n, dropout=p)\nf(1)",
    "class A(nn.Module):\n    def __init__(self, n=1, p=0.1):\n        self.n = n\n"
    "        self.rnn = nn.LSTM(8, 8, self.n, dropout=p if self.n > 1 else 0)",
    "nn.LSTM(8, 8, **options, dropout=0.5)",
    "nn.LSTM(*sizes, dropout=0.5)",
    "nn.LSTM(8, 8)",
    "nn.LSTM(8, 8, dropout=0)",
    "nn.LSTM(8, 8, dropout=0.0)",
    "def f(p, n): return nn.LSTM(8, 8, dropout=p if n > 1 else 0)",
    "def f(n): return nn.LSTM(8, 8, dropout=0.5 if n > 1 else 0)",
    "def f(drops): return nn.LSTM(8, 8, dropout=0 if drops else 0.0)",
    "def f(cell): return cell(8, 8, dropout=0.5)\nf(nn.LSTM)\nf(nn.Transformer)",
    "def f(cell): return cell(8, 8, dropout=0.5)\nf(kind)",
    "def f(p, n):\n    q = p if n > 1 else 0\n    return nn.LSTM(8, 8, dropout=q)",
    "def f(p, n): return nn.LSTM(8, 8, dropout=p * (n > 1))",
    "def f(p, on): return nn.LSTM(8, 8, dropout=p if on else rate_of(on))",
    "def f(p, on): return nn.LSTM(8, 8, dropout=rate_of(on) if on else p)",
    "def f(p): return nn.LSTM(8, 8, dropout=float(p, 1))",
    "def f(p): return nn.LSTM(8, 8, dropout=rate_of(p))",
    "def f(p): return nn.LSTM(8, 8, dropout=float(rate_of(p)))",
    "def f(cfg): return nn.LSTM(8, 8, dropout=cfg.pop('dropout'))",
    "def f(keep): return nn.LSTM(8, 8, dropout=keep - 1)",
    "def f(keep): return nn.LSTM(8, 8, dropout=1 - rate_of(keep))",
    "def f(p): return nn.LSTM(8, 8, dropout=1 + p)",
    "nn.LSTMCell(8, 8)",
    "from keras.layers import LSTM\nLSTM(8, dropout=0.5)",
    "class LSTM(nn.Module): ...\nLSTM(8, dropout=0.5)",
    "def f(kind): return getattr(nn, kind)(8, 8, dropout=0.5)",
    "def f(rnn): return getattr(other, rnn)(8, 8, dropout=0.5)",
    "def f(k): return {'a': nn.LSTM, 'b': nn.Transformer}[k](8, 8, dropout=0.5)",
    "def f(k): cell = nn.LSTM if k else nn.Transformer; return cell(8, 8, dropout=0.5)",
    "def f(n, p, k): return nn.LSTM(8, 8, dropout=p - k)",
    "with pytest.warns(UserWarning):\n    nn.LSTM(8, 8, dropout=0.5)",
    "def f(rnn): return make(nn, rnn)(8, 8, dropout=0.5)",
    "def f(rnn): return make('nn.' + rnn)(8, 8, dropout=0.5)",
    "def f(rnn): return eval()(8, 8, dropout=0.5)",
    "class A:\n    def make(self, **kw): return nn.LSTM(**kw)\n"
    "    def f(self): return self.make(dropout=0.5)",
    "def make(**kw): return nn.LSTM(**kw, bias=True)\nmake(dropout=0.5)",
    "def make(**kw): return nn.LSTM(**options)\nmake(dropout=0.5)",
    "def make(**kw): return nn.LSTM(**kw), nn.LSTM(**kw)\nmake(dropout=0.5)",
    "def make(**kw): return nn.Transformer(**kw)\nmake(dropout=0.5)",
    # The places of arguments differ: for nn.RNN it would be batch_first.
    "def f(cell): return cell(8, 8, 1, True, False, 0.5)\nf(nn.LSTM)\nf(nn.RNN)",
    *(
        f"class A({bases}):\n    def __init__(self): {init}(8, 8, dropout=0.5)"
        for bases, init in [
            ("", "super().__init__"),
            ("nn.LSTM", "super().prepare"),
            ("nn.LSTM", "self.part.__init__"),
            ("nn.LSTM", "other().__init__"),
            ("nn.LSTM, Other", "super().__init__"),
            ("nn.Transformer", "super().__init__"),
        ]
    ),
]


@pytest.mark.parametrize("source", BAD + ADVICE)
def test_found(source):
    found, expected = marked(NAME, source)
    assert found == expected
    assert len(expected) == 1


@pytest.mark.parametrize("source", CLEAN)
def test_clean(source):
    assert marked(NAME, source) == ([], [])


@pytest.mark.parametrize("source", ADVICE)
def test_no_advice_in_tests(source):
    assert marked(NAME, source, "tests/test_rnn.py")[0] == []


def test_what_torch_says():
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        exec(RULES[NAME].broken, {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(RULES[NAME].fixed, {})


MODEL = """\
from torch import nn

class Net(nn.Module):
    def __init__(self, size, n, p=0.2):
        super().__init__()
        self.rnn = nn.LSTM(size, size, n, dropout=p)
"""
LINE = 6
MAIN = "from net import Net\n"
OPTIONS = "import argparse\nparser = argparse.ArgumentParser()\n"
OPTION = "parser.add_argument('--{}', default={})\n"


def in_project(tmp_path, files, model=MODEL):
    return findings_in(tmp_path, {"net.py": model, **files}, "net.py", NAME)


class TestOfOtherFiles:
    """What the other files of the project say of the number of layers, and of the rate."""

    @pytest.mark.parametrize(
        "call",
        [
            "Net(8, 1)",
            "Net(8, n=1)",
            "N = 1\nNet(8, N)",
            "Net(8, 1)\nNet(9, 1, 0.5)",
            "Net(8, 1)\nNet(8, layers=1)",  # a TypeError
            "Net(8, 1, p=args.p)",
            "def f(n):\n    return Net(8, n)\nf(1)",
        ],
    )
    def test_every_call_asks_for_one_layer(self, call, tmp_path):
        assert in_project(tmp_path, {"main.py": MAIN + call}) == [(LINE, "advice")]

    @pytest.mark.parametrize(
        "call",
        [
            "Net(8, 2)",
            "Net(8, 1)\nNet(8, 2)",
            "Net(8, n)",
            "Net(8, 1)\nNet(8, n)",
            "Net(8, 1, 0.0)",
            "Net(8, 1)\nkinds = [Net]",
            "class Other(Net): ...\nNet(8, 1)",
            "Net(*sizes)",
            "Net(8)",
        ],
    )
    def test_some_call_may_ask_for_more(self, call, tmp_path):
        assert in_project(tmp_path, {"main.py": MAIN + call}) == []

    def test_calls_of_all_files_count(self, tmp_path):
        one, two = MAIN + "Net(8, 1)", MAIN + "Net(8, 2)"
        assert in_project(tmp_path, {"a.py": one, "b.py": two}) == []
        assert in_project(tmp_path, {"b.py": one}) == [(LINE, "advice")]
        assert in_project(tmp_path, {"net.py": MODEL + "\nNet(8, 2)\n"}) == []

    def test_a_default_that_no_call_replaces(self, tmp_path):
        model = MODEL.replace("n, p", "n=1, p")
        apart = model + "        self.drop = nn.Dropout(p)\n"
        assert in_project(tmp_path, {"main.py": MAIN + "Net(8)"}, apart) == [(LINE, "advice")]
        assert in_project(tmp_path, {"main.py": MAIN + "Net(8, 2)"}, model) == []
        assert in_project(tmp_path, {"main.py": MAIN}, model) == [(LINE, "advice")]

    def test_a_class_that_something_registers(self, tmp_path):
        model = MODEL.replace("class", "@register\nclass")
        assert in_project(tmp_path, {"main.py": MAIN + "Net(8, 1)"}, model) == []

    def test_a_test_of_something_else_is_none_of_the_number(self, tmp_path):
        model = MODEL.replace("        self.rnn", "        if size:\n            self.rnn")
        assert in_project(tmp_path, {"main.py": MAIN + "Net(8, 1)"}, model) == [(7, "advice")]
        model = model.replace("if size", "if n > 1")
        assert in_project(tmp_path, {"main.py": MAIN + "Net(8, 1)"}, model) == []

    def test_a_rate_that_is_written_down(self, tmp_path):
        model = MODEL.replace("dropout=p", "dropout=0.3")
        assert in_project(tmp_path, {"main.py": MAIN + "Net(8, 1)"}, model) == [(LINE, "advice")]

    @pytest.mark.parametrize(
        ("config", "found"),
        [("LAYERS = 1", [(LINE, "advice")]), ("LAYERS = 2", []), ("LAYERS = read()", [])],
    )
    @pytest.mark.parametrize(
        "main",
        [
            "import config\nNet(8, config.LAYERS)",
            "from config import LAYERS\nNet(8, LAYERS)",
            "from config import *\nNet(8, LAYERS)",
        ],
    )
    def test_a_constant_of_a_third_file(self, main, config, found, tmp_path):
        assert in_project(tmp_path, {"main.py": MAIN + main, "config.py": config}) == found

    @pytest.mark.parametrize(
        ("layers", "rate", "found"),
        [(1, 0.1, [(LINE, "advice")]), (2, 0.1, []), (1, 0.0, []), ("n", 0.1, [])],
    )
    def test_options(self, layers, rate, found, tmp_path):
        options = OPTIONS + OPTION.format("layers", layers) + OPTION.format("rate", rate)
        call = "Net(8, args.layers, args.rate)"
        files = {"main.py": f"{MAIN}{options}args = parser.parse_args()\n{call}"}
        assert in_project(tmp_path, files) == found
        files = {"opts.py": options, "main.py": f"{MAIN}from opts import parser as args\n{call}"}
        assert in_project(tmp_path, files) == found

    def test_options_that_the_model_reads(self, tmp_path):
        model = MODEL.replace("size, n, p=0.2", "args").replace(
            "size, size, n, dropout=p", "8, 8, args.layers, dropout=args.rate"
        )
        options = OPTIONS + OPTION.format("layers", 1) + OPTION.format("rate", 0.1)
        files = {"opts.py": options, "main.py": f"{MAIN}import opts\nNet(args)"}
        assert in_project(tmp_path, files, model) == [(LINE, "advice")]
        files["other.py"] = MAIN + OPTIONS + OPTION.format("layers", 2)
        assert in_project(tmp_path, files, model) == []

    @pytest.mark.parametrize(
        ("layers", "also", "found"),
        [(1, 1, [(4, "advice")]), (2, 2, []), (1, 2, []), ("n", 1, []), (1, "n", [])],
    )
    def test_options_of_a_program_that_does_not_import_the_model(
        self, layers, also, found, tmp_path
    ):
        add = OPTION.replace("add_argument", "add")  # of configargparse
        options = OPTIONS + add.format("my-layers", layers) + add.format("my_rate", 0.1)
        model = (
            "from torch import nn\nclass Net(nn.Module):\n    def __init__(self, opt):\n"
            "        self.rnn = nn.GRU(8, 8, opt.my_layers, dropout=opt.my_rate)\n"
        )
        other = OPTIONS + OPTION.format("my_layers", also)
        assert in_project(tmp_path, {"opts.py": options, "other.py": other}, model) == found

    @pytest.mark.parametrize(
        ("layers", "found"), [("1", [(5, "advice")]), ("2", []), ("opt.n", []), ("1, 2", [])]
    )
    def test_a_number_that_a_base_holds(self, layers, found, tmp_path):
        lines = "".join(f"        self.n = {each}\n" for each in layers.split(", "))
        head = "from torch import nn\nclass Base(nn.Module):\n    def __init__(self, opt):\n"
        model = (
            "from base import Base\nfrom torch import nn\nclass Net(Base):\n"
            "    def __init__(self, opt):\n"
            "        self.rnn = nn.LSTM(8, 8, self.n, dropout=opt.rate)\n"
        )
        assert in_project(tmp_path, {"base.py": head + lines}, model) == found

    def test_options_by_key(self, tmp_path):
        model = MODEL.replace("size, n, p=0.2", "args").replace(
            "size, size, n, dropout=p", "8, 8, args['layers'], dropout=args['rate']"
        )
        options = OPTIONS + OPTION.format("layers", 1) + OPTION.format("rate", 0.1)
        main = f"{MAIN}import opts\nNet(vars(opts.parser.parse_args()))"
        assert in_project(tmp_path, {"opts.py": options, "main.py": main}, model) == [
            (LINE, "advice")
        ]
        options = OPTIONS + OPTION.format("layers", 2) + OPTION.format("rate", 0.1)
        assert in_project(tmp_path, {"opts.py": options, "main.py": main}, model) == []

    @pytest.mark.parametrize(
        ("cells", "found"), [("nn.LSTM nn.GRU", [(LINE, "advice")]), ("nn.LSTM nn.Linear", [])]
    )
    def test_a_class_that_is_given(self, cells, found, tmp_path):
        model = MODEL.replace("size, n, p", "size, cell, n=1, p").replace("nn.LSTM(size", "cell(8")
        calls = "".join(f"Net(8, {each})\n" for each in cells.split())
        files = {"main.py": f"{MAIN}from torch import nn\n{calls}"}
        assert in_project(tmp_path, files, model) == found

    @pytest.mark.parametrize(
        ("cells", "found"), [("nn.LSTM nn.GRU", [(5, "advice")]), ("nn.LSTM nn.Linear", [])]
    )
    def test_a_class_that_a_base_holds(self, cells, found, tmp_path):
        lines = "".join(f"        self.cell = {each}\n" for each in cells.split())
        head = "from torch import nn\nclass Base(nn.Module):\n    def __init__(self, kind):\n"
        model = (
            "from base import Base\nclass Net(Base):\n    def __init__(self, n=1, p=0):\n"
            "        super().__init__('lstm')\n        self.rnn = self.cell(8, 8, n, dropout=p)\n"
        )
        files = {"base.py": head + lines, "main.py": MAIN + "Net(p=0.2)"}
        assert in_project(tmp_path, files, model) == found

    @pytest.mark.parametrize(
        ("kinds", "found"), [("nn.LSTM, 1: nn.GRU", [(LINE, "advice")]), ("nn.LSTM, 1: make", [])]
    )
    def test_a_class_of_a_dict_that_is_given(self, kinds, found, tmp_path):
        model = MODEL.replace("size, n, p", "size, cell, n=1, p").replace("nn.LSTM(size", "cell(8")
        main = f"{MAIN}from torch import nn\nKINDS = {{0: {kinds}}}\ncell = KINDS[0]\nNet(8, cell)"
        assert in_project(tmp_path, {"main.py": main}, model) == found

    @pytest.mark.parametrize(
        ("settings", "found"),
        [
            ("config = {'n': 1, 'p': 0.3}", [(LINE, "advice")]),
            ("config = dict(net=dict(n=1, p=0.3))", [(LINE, "advice")]),
            ("args = Namespace()\nargs.n = 1\nargs.p = 0.3", [(LINE, "advice")]),
            ("config = {'n': 1, 'p': 0.3}\nconfig['p'] = 0.5", [(LINE, "advice")]),
            ("config = {'n': 1, 'p': 0.3}\nconfig['p'] = 0.0", [(LINE, "advice")]),
            ("config = {'n': 1, 'p': 0.0}", []),
            ("config = {'n': 1, 'p': 0.3}\nconfig['n'] = 2", []),
            ("config = {'n': 1, 'p': 0.3}\nconfig['n'] = f()", []),
            ("sizes = {'n': 1, 'p': 0.3}", []),
        ],
    )
    @pytest.mark.parametrize("given", ["**config", "n=config['n'], p=config.get('p')"])
    def test_a_configuration(self, given, settings, found, tmp_path):
        main = f"{MAIN}from settings import *\nNet(8, {given})"
        assert in_project(tmp_path, {"settings.py": settings, "main.py": main}) == found
        main = f"from net import *\nfrom settings import *\nNet(8, {given})"
        assert in_project(tmp_path, {"settings.py": settings, "main.py": main}) == found

    @pytest.mark.parametrize(("name", "found"), [("config", [(LINE, "advice")]), ("sizes", [])])
    def test_what_else_is_passed_on_is_no_configuration(self, name, found, tmp_path):
        settings = "config = {'n': 1, 'p': 0.3}\nsizes = read()"
        main = f"{MAIN}from settings import *\nNet(8, **{name})"
        assert in_project(tmp_path, {"settings.py": settings, "main.py": main}) == found

    @pytest.mark.parametrize(("count", "found"), [(1, [(LINE, "advice")]), (2, [])])
    def test_a_default_that_has_a_name_where_it_is(self, count, found, tmp_path):
        model = MODEL.replace("n, p", "n=N, p") + f"\nN = {count}\n"
        main = f"{MAIN}N = {3 - count}\nNet(8)"
        assert in_project(tmp_path, {"main.py": main}, model) == found

    def test_a_default_of_a_configuration(self, tmp_path):
        main = f"{MAIN}Net(8, config.get('n', 1), config.get('p', 0.1))"
        assert in_project(tmp_path, {"main.py": main}) == [(LINE, "advice")]
        settings = "config = {'n': 3}"
        assert in_project(tmp_path, {"settings.py": settings, "main.py": main}) == []

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("model.load_state_dict(saved)", [(LINE, "advice")]),
            ("loss.backward()", []),
            ("model.load_state_dict(saved)\nloss.backward()", []),
        ],
    )
    def test_a_program_that_only_loads_what_another_trained(self, text, found, tmp_path):
        files = {"main.py": MAIN + "Net(8, 1)", "other.py": f"{MAIN}Net(8, saved['n'])\n{text}"}
        assert in_project(tmp_path, files) == found

    def test_one_of_the_callers_is_not_known(self, tmp_path):
        model = MODEL.replace("n, p=0.2", "n=1, p=0")
        rates = "Net(8, p=0.1)\nNet(8, p=read())"
        assert in_project(tmp_path, {"main.py": MAIN + rates}, model) == [(LINE, "advice")]
        layers = "Net(8, 2, 0.1)\nNet(8, read(), 0.1)"
        assert in_project(tmp_path, {"main.py": MAIN + layers}, model) == []

    def test_a_caller_that_asks_for_no_rate_with_one_layer(self, tmp_path):
        options = OPTIONS + OPTION.format("n", 1) + OPTION.format("p", 0.1)
        call = "Net(8, args.n, args.p if args.n > 1 else 0.0)"
        assert in_project(tmp_path, {"main.py": f"{MAIN}{options}{call}"}) == []

    @pytest.mark.parametrize(("kind", "found"), [("rnn", [(6, "advice")]), ("layer", [])])
    def test_a_function_of_another_file_that_takes_options(self, kind, found, tmp_path):
        make = f"from torch import nn\ndef make({kind}_type, **kw):\n"
        make += f"    {kind} = getattr(nn, {kind}_type)(**kw)\n    return {kind}\n"
        model = "from make import make\ndef f(kind, rate):\n    return make(\n        kind,\n"
        model += "        num_layers=1,\n        dropout=rate,\n    )\n"
        assert in_project(tmp_path, {"make.py": make}, model) == found

    def test_a_function_that_builds_it(self, tmp_path):
        model = "from torch import nn\ndef rnn(n):\n    return nn.GRU(8, 8, n, dropout=0.1)\n"
        main = "from net import rnn\nrnn(1)"
        assert in_project(tmp_path, {"main.py": main}, model) == [(3, "advice")]

    def test_it_names_the_first_of_several(self):
        cells = "f(nn.LSTM)\nf(nn.GRU)\nf(nn.RNN)"
        source = f"{HEAD}def f(cell): return cell(8, 8, dropout=0.5)\n{cells}"
        [found] = audit_text(source, rules={NAME})
        assert found.message.startswith("the dropout of GRU acts between")

    def test_it_says_so(self, tmp_path):
        (tmp_path / "setup.py").write_text("")
        (tmp_path / "net.py").write_text(MODEL)
        (tmp_path / "main.py").write_text(MAIN + "Net(8, 1)")
        [found] = audit_paths([tmp_path / "net.py"], cache=False).findings
        assert found.message == (
            "the dropout of LSTM acts between its layers, and this one has one layer wherever the "
            "project builds it: it has no effect"
        )
