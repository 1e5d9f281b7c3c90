"""The other files of a project: what a name stands for there, and who calls what."""

import os
import textwrap
from itertools import count
from pathlib import Path

import pytest

from torchdropout_audit import dependencies as dependencies_module
from torchdropout_audit import project as project_module
from torchdropout_audit import run as run_module
from torchdropout_audit.code import Class, Code
from torchdropout_audit.project import Project, project_of
from torchdropout_audit.run import audit_data, audit_paths

ENCODER = """
from torch import nn

LAYERS = 3

class Encoder(nn.Module):
    def __init__(self, size, n=1):
        super().__init__()
        self.rnn = nn.LSTM(size, size, n)

    @staticmethod
    def build():
        return Encoder(8)

def make(n):
    return Encoder(8, n)
"""

RUNS = count()


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """The current folder: a project with one package."""
    monkeypatch.setenv("TORCHDROPOUT_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    write(folder / "pyproject.toml", "")
    write(folder / "models" / "encoder.py", ENCODER)
    monkeypatch.chdir(folder)
    return folder


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


def code_of(path, text=None):
    """A source of the current folder, with the files around it."""
    if text is not None:
        write(Path(path), text)
    return Code(Path(path).read_text(), path, project_of(path, next(RUNS)))


def found(path, text, expr="x"):
    """What the last statement of a source is bound to, in another file."""
    code = code_of(path, text + f"\nlast = {expr}\n")
    name = code.name(code.tree.body[-1].value)
    return None if name is None else code.project.find(code, name)


def calls(text="", path="main.py", code=None):
    """The calls of Encoder in the other files, each as its file and line; None if not all."""
    if text:
        write(Path(path), text)
    code = code or code_of("models/encoder.py")
    [cls] = [each for each in code.classes if each.name == "Encoder"]
    listed = Project(Path.cwd()).calls(code, cls)
    return listed and [
        (str(Path(file.path).relative_to(Path.cwd())), call.node.lineno) for file, call in listed
    ]


class TestFind:
    @pytest.mark.parametrize(
        ("path", "text", "expr"),
        [
            ("main.py", "from models.encoder import Encoder as x", "x"),
            ("main.py", "import models.encoder", "models.encoder.Encoder"),
            ("main.py", "import models.encoder as m", "m.Encoder"),
            ("main.py", "from models import encoder", "encoder.Encoder"),
            ("main.py", "from models.encoder import Encoder\nx = Encoder", "x"),
            ("models/net.py", "from .encoder import Encoder as x", "x"),
            ("models/net.py", "from . import encoder", "encoder.Encoder"),
            ("models/net.py", "from encoder import Encoder as x", "x"),
            ("models/deep/net.py", "from ..encoder import Encoder as x", "x"),
            ("models/deep/net.py", "from models.encoder import Encoder as x", "x"),
        ],
    )
    def test_a_class(self, path, text, expr):
        there = found(path, text, expr)
        assert isinstance(there.target, Class)
        assert (there.target.name, Path(there.code.path).name) == ("Encoder", "encoder.py")

    @pytest.mark.parametrize(
        "init",
        [
            "from .encoder import Encoder",
            "from .encoder import *",
            "from models.encoder import *",
            "from .deep import *\nfrom .encoder import *",
            "from . import encoder\nEncoder = encoder.Encoder\nfrom .encoder import Encoder",
        ],
    )
    def test_what_a_package_passes_on(self, init):
        write(Path("models/__init__.py"), init)
        for path, package in (("main.py", "models"), ("models/net.py", ".")):
            there = found(path, f"from {package} import Encoder as x")
            assert there.target.name == "Encoder"
            assert Path(there.code.path).name == "encoder.py"

    def test_a_module_that_its_package_imports(self):
        write(Path("models/__init__.py"), "from . import encoder")
        assert found("main.py", "from models import encoder as x") is None

    def test_a_function_and_a_method_and_no_value(self):
        assert found("main.py", "from models.encoder import make as x").target.name == "make"
        text = "from models.encoder import Encoder"
        assert found("main.py", text, "Encoder.build").target.name == "build"
        assert found("main.py", "from models.encoder import LAYERS as x") is None

    @pytest.mark.parametrize(
        ("text", "expr"),
        [
            ("from models.encoder import Decoder as x", "x"),
            ("from models.decoder import Encoder as x", "x"),
            ("from models.encoder import Encoder", "Encoder.build.more"),
            ("from models.encoder import LAYERS", "LAYERS.real"),
            ("from models import Encoder as x", "x"),
            ("from ..outside import Encoder as x", "x"),
            ("from .... import Encoder as x", "x"),
            ("import models", "models.Encoder"),
            ("import numpy", "numpy.Encoder"),
            (f"import {'a' * 300}.b", f"{'a' * 300}.b.C"),
            (f"import {'a.' * 300}b as x", "x.C"),
        ],
    )
    def test_nothing(self, text, expr):
        write(Path("../outside.py"), ENCODER)
        assert found("main.py", text, expr) is None

    def test_a_link_out_of_the_project_is_not_followed(self, root):
        write(root.parent / "outside.py", ENCODER)
        (root / "inside.py").symlink_to(root.parent / "outside.py")
        assert found("main.py", "from inside import Encoder as x") is None

    @pytest.mark.parametrize(
        "text",
        [
            "def f(:",
            "x = '\0'",
            "# coding: nothing\n",
            "-" * 100_000 + "1",
            ENCODER + "#" * 200_000,
        ],
    )
    def test_a_file_that_is_not_read(self, text):
        write(Path("models/encoder.py"), text)
        assert found("main.py", "from models.encoder import Encoder as x") is None

    def test_modules_that_import_one_another(self):
        names = "abcdef"
        stars = "".join(f"from {each} import *\n" for each in names)
        for each in names:
            write(Path(f"{each}.py"), stars)
        assert found("main.py", "from a import Encoder as x") is None
        write(Path("f.py"), f"{stars}from models.encoder import Encoder")
        assert found("main.py", "from a import Encoder as x").target.name == "Encoder"

    def test_trees_that_would_take_much_memory(self, monkeypatch):
        monkeypatch.setattr(project_module, "_MOST_KEPT", 1_000)
        monkeypatch.setattr(project_module, "_MOST_READ", 1_500)
        for each in "abc":
            write(Path(f"{each}.py"), f"class X: ...\n#{each * 900}")
        code = code_of("main.py", "import a, b, c")
        known = [code.project.find(code, f"{each}.X") for each in "abc"]
        assert [each is not None for each in known] == [True, True, False]
        assert code.project.find(code, "a.X").code is known[0].code
        code.project.begin()  # of the next file
        assert code.project.find(code, "c.X").target.name == "X"
        code.project.begin()
        assert code.project.find(code, "c.X").code is code.project.find(code, "c.X").code


class TestRoot:
    @pytest.mark.parametrize("mark", [".git/config", ".hg/hgrc", "setup.py", "setup.cfg"])
    def test_the_nearest_mark(self, mark, root):
        text = "from models.encoder import Encoder as x"
        assert found("inner/main.py", text) is not None
        write(root / "inner" / mark, "")
        assert found("inner/main.py", text) is None

    def test_without_a_mark_the_current_folder(self, root, monkeypatch):
        (root / "pyproject.toml").unlink()
        write(root / "deep" / "main.py", "")
        text = "from models.encoder import Encoder as x"
        assert found("deep/main.py", text) is not None
        monkeypatch.chdir(root / "models")
        assert found("../deep/main.py", text) is None

    def test_without_either_the_outermost_package(self, root, monkeypatch):
        (root / "pyproject.toml").unlink()
        for each in ("models", "models/deep"):
            write(root / each / "__init__.py", "")
        (root.parent / "other").mkdir()
        monkeypatch.chdir(root.parent / "other")
        path = str(root / "models" / "deep" / "net.py")
        for name in ("..encoder", "models.encoder"):
            assert found(path, f"from {name} import Encoder as x").target.name == "Encoder"
        write(root / "sibling.py", ENCODER)  # next to the package, as another one
        assert found(path, "from sibling import Encoder as x") is None


class TestCalls:
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("from models.encoder import Encoder\nEncoder(8, 1)", 2),
            ("from models.encoder import Encoder as E\n\nx = E(8)", 3),
            ("import models.encoder\nmodels.encoder.Encoder(8)", 2),
            ("from models import encoder\ndef f():\n    return encoder.Encoder(8)", 3),
            ("from models.encoder import *\nEncoder(8)", 2),
        ],
    )
    def test_by_any_name(self, text, line):
        assert calls(text) == [("main.py", line)]

    def test_in_several_files(self):
        text = "from models.encoder import Encoder\nEncoder(8)\n"
        write(Path("b.py"), text)
        write(Path("deep/c.py"), text + "Encoder(9)\n")
        assert calls(text, "a.py") == [("a.py", 2), ("b.py", 2), ("deep/c.py", 2), ("deep/c.py", 3)]

    @pytest.mark.parametrize(
        "text",
        [
            "Encoder(8)",
            "class Encoder: ...\nEncoder(8)",
            "from models.encoder import make as Encoder\nEncoder(8)",
            "from models.encoder import LAYERS as Encoder\nEncoder(8)",
            "from other import Encoder\nEncoder(8)",
            "from other.encoder import Encoder\nEncoder(8)",
            "from other.encoder import *\nEncoder(8)",
            "from models.encoder import *\ndef f(Encoder):\n    Encoder(8)",
            "from models.encoder import Encoder\ndef f(x: Encoder) -> Encoder: ...",
            "from models.encoder import Encoder\nx: list[Encoder | None] = []",
            "from models.encoder import Encoder\nresults[Encoder.KEY] = f(Encoder.KEY)",
            "from models.encoder import Encoder\nisinstance(x, (int, Encoder))",
            "from models.encoder import Encoder\nx: Encoder = y\nissubclass(Encoder, A)",
        ],
    )
    def test_none(self, text):
        write(Path("other/encoder.py"), ENCODER)
        assert calls(text) == []

    @pytest.mark.parametrize(
        "use",
        [
            *("class Deep(Encoder): ...", "kinds = {'rnn': Encoder}", "make = Encoder"),
            *("build(Encoder)", "build(kind=Encoder)", "Encoder.build()", "x: Kind = Encoder"),
            *("x = A[Encoder]", "f(1).isinstance(Encoder)", "@Encoder\ndef f(): ..."),
            "def f(kind=Encoder): ...",
        ],
    )
    def test_not_all_are_known(self, use):
        assert calls(f"from models.encoder import Encoder\nEncoder(8)\n{use}\n") is None

    def test_of_tests_and_folders_that_hold_no_source_do_not_count(self):
        text = "from models.encoder import Encoder\nEncoder(8)\n"
        for path in ("tests/test_it.py", "venv/a.py", ".hidden/a.py", "env/a.py", "a.txt"):
            write(Path(path), text)
        write(Path("env/pyvenv.cfg"), "")
        assert calls() == []

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name")
    def test_a_pipe_is_not_read(self):
        os.mkfifo("pipe.py")
        assert calls("from models.encoder import Encoder\nEncoder(8)\n") == [("main.py", 2)]

    def test_too_many_files(self, monkeypatch):
        text = "from models.encoder import Encoder\nEncoder(8)\n"
        assert calls(text) == [("main.py", 2)]
        for module, name, value in (
            *((dependencies_module, "_MOST_SEEN", 2), (dependencies_module, "_MOST_SEARCHED", 20)),
            *((project_module, "_MOST_ASKED", 1), (project_module, "_MOST_SEARCHES", 0)),
        ):
            with monkeypatch.context() as patched:
                patched.setattr(module, name, value)
                assert calls() == [], name
        assert calls() == [("main.py", 2)]


@pytest.mark.parametrize(
    "ask",
    [
        lambda project, code: project.find(code, "models.encoder.make"),
        lambda project, code: project.calls(code, code.defined("Encoder")),
    ],
)
def test_each_question_is_counted(ask):
    code = code_of("models/encoder.py")
    for asked in (0, 1):
        assert code.project.questions == asked
        ask(code.project, code)
    code.project.begin()
    assert code.project.questions == 0


class TestLimits:
    def test_searches(self, monkeypatch):
        monkeypatch.setattr(project_module, "_MOST_SEARCHES", 1)
        write(Path("main.py"), "from models.encoder import Encoder\nEncoder(8)\n")
        code = code_of("models/encoder.py")
        for expected in (1, 0):
            assert len(code.project.calls(code, code.defined("Encoder"))) == expected

    def test_imports_of_imports(self, monkeypatch):
        monkeypatch.setattr(project_module, "_DEEPEST", 1)
        write(Path("models/__init__.py"), "from .encoder import make")
        code = code_of("main.py", "import models")
        for name in ("models.encoder.make", "models.encoder.Encoder"):
            assert code.project.find(code, name) is not None
        assert code.project.find(code, "models.make") is None


def test_names_are_found_however_many_were_before():
    write(Path("many.py"), "".join(f"class X{i}: ...\n" for i in range(50)))
    code = code_of("main.py", "import many")
    assert all(code.project.find(code, f"many.X{i}") for i in range(50))


RNN = """
from torch import nn

class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.rnn = nn.LSTM(8, 8, n, dropout=0.5)
"""
USING = """
from torch import nn

class Base(nn.Module):
    def forward(self, x):
        return self.drop(x)
"""
NEVER_USED = """
from parts.base import Base
from torch import nn

class Net(Base):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        return super().forward(x)
"""


class TestAudit:
    def test_what_another_file_says_is_remembered_until_it_says_something_else(self, monkeypatch):
        write(Path("net.py"), RNN)
        write(Path("main.py"), "from net import Net\nNet(1)\n")
        first = audit_paths(["net.py"]).findings
        assert len(first) == 1
        with monkeypatch.context() as patched:
            patched.setattr(run_module, "_audited", None)
            assert audit_paths(["net.py"]).findings == first
        counts = []
        for n in (2, 1):
            write(Path("main.py"), f"from net import Net\nNet({n})\n")
            counts.append(len(audit_paths(["net.py"]).findings))
        assert counts == [0, 1]
        write(Path("other.py"), "from net import Net\nNet(3)\n")
        assert audit_paths(["net.py"]).findings == ()

    def test_a_change_of_a_file_that_was_not_asked_audits_nothing_again(self, monkeypatch):
        write(Path("parts/base.py"), "class Base: ...\n")
        write(Path("models/net.py"), NEVER_USED)
        write(Path("other.py"), "x = 1\n")
        first = audit_paths(["models/net.py"]).findings
        write(Path("other.py"), "x = 2\n")
        monkeypatch.setattr(run_module, "_audited", None)
        assert audit_paths(["models/net.py"]).findings == first

    @pytest.mark.parametrize(
        "change",
        [
            lambda: write(Path("parts/base.py"), USING),
            lambda: write(Path("models/parts/base.py"), USING),  # found first
            lambda: write(Path("parts/more.py"), USING.replace("Base", "More")),
            lambda: Path("parts/base.py").unlink(),
        ],
    )
    def test_a_change_of_what_is_imported_is_seen(self, change):
        write(Path("parts/base.py"), "from parts.more import More\nclass Base(More): ...\n")
        write(Path("parts/more.py"), USING.replace("Base", "More").replace("self.drop(x)", "x"))
        write(Path("models/net.py"), NEVER_USED)
        before = audit_paths(["models/net.py"]).findings
        assert [each.name for each in before] == ["dropout-never-used"]
        change()
        after = audit_paths(["models/net.py"]).findings
        assert after == audit_paths(["models/net.py"], cache=False).findings
        assert after != before

    def test_searches_are_counted_by_file(self, monkeypatch):
        monkeypatch.setattr(project_module, "_MOST_SEARCHES", 3)
        for i in range(5):
            write(Path(f"net{i}.py"), RNN)
            write(Path(f"main{i}.py"), f"from net{i} import Net\nNet(1)\n")
        assert len(audit_paths(["."], cache=False).findings) == 5

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_in_processes(self, jobs, monkeypatch):
        monkeypatch.setattr(run_module, "_WORTH_A_PROCESS", 0)
        for i in range(4):
            write(Path(f"net{i}.py"), RNN)
            write(Path(f"main{i}.py"), f"from net{i} import Net\nNet({i})\n")
        report = audit_paths(["."], jobs=jobs, cache=False)
        assert [each.path for each in report.findings] == ["net1.py"]
        assert report.problems == ()

    def test_a_text_of_an_editor(self):
        write(Path("main.py"), "from net import Net\nNet(1)\n")
        write(Path("net.py"), "")  # not yet saved
        report, _ = audit_data(RNN.encode(), "net.py")
        assert report.findings == ()
        write(Path("net.py"), RNN)
        report, _ = audit_data(RNN.encode() + b"# more", "net.py")
        assert len(report.findings) == 1
        assert audit_data(RNN.encode(), "<stdin>")[0].findings == ()


def test_a_module_that_is_called_setup_is_no_mark_of_a_project():
    write(Path("models/__init__.py"), "")
    write(Path("models/setup.py"), "")
    write(Path("options.py"), "class Options: ...")
    there = found("models/net.py", "from options import Options as x")
    assert there.target.name == "Options"


@pytest.mark.parametrize("number", [1, 2, 5])
def test_packages_that_import_all_names_of_one_another(number):
    packages = [f"p{i}" for i in range(number)]
    stars = "".join(f"from {name}.more import *\n" for name in packages)
    for name in packages:
        write(Path(f"{name}/__init__.py"), stars)
    code = code_of("main.py", stars + "last = missing\n")
    before = Project._resolve
    asked = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Project, "_resolve", lambda *a: asked.append(a) or before(*a))
        assert [code.project.find(code, each) for each in code.passed_on("missing")] == (
            [None] * number
        )
    assert len(asked) < 100 * number
