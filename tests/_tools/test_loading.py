"""What a TARGET string names, the home of its code, and how errors are worded."""

import importlib
import os
import sys
import types
from pathlib import Path

import pytest

from torchdropout._tools.loading import Home, load, one_line, target_error
from torchdropout.errors import TargetError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with files, which is the current one."""
    files = {
        "net": "import helper\nclass Net:\n    inner = 3\n\n"
        "def lazy():\n    import later\n    return later",
        "helper": "name = 'mine'",
        "later": "",
        "raises": "\n\nraise ValueError('no  such\\n device')",
        "exits": "raise SystemExit",
        "quits": "def __getattr__(name):\n    raise SystemExit(3)",
        "silent": "def build(): pass\n\nraise KeyError",
        "syntax": "def build(:\n    pass",
        "lacks": "import no_such_module",
        "relative": "from . import helper",
        "many": "valuea = valueb = valuec = valued = 1",
        "older": "raise ImportError('too old')",
        "other": "raise ValueError('no relative import')",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "notes").write_text("")
    (tmp_path / "notes.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("error", "text"),
    [(ValueError("a\n b"), "ValueError: a b"), (KeyError(), "KeyError"), (OSError(" "), "OSError")],
)
def test_an_error_on_one_line(error, text):
    assert one_line(error) == text


def test_the_form_of_all_errors():
    assert str(target_error("a:b", "to be x", "y")) == "Expected TARGET 'a:b' to be x, got y"
    assert str(target_error("a:b", "to be x", "y", "z")).endswith(" to be x, got y; z")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("raises.py:f", "to load raises.py, got ValueError: no such device (raises.py, line 3)"),
        ("raises:f", "to load raises, got ValueError: no such device (raises.py, line 3)"),
        ("silent.py:build", "to load silent.py, got KeyError (silent.py, line 3)"),
        ("exits.py:f", "to load exits.py, got SystemExit (exits.py, line 1)"),
        ("quits.py:f", "to have an attribute 'f', got SystemExit: 3"),
        ("syntax.py:f", "to load syntax.py, got a syntax error in syntax.py, line 1: "),
        ("lacks.py:f", "ModuleNotFoundError: No module named 'no_such_module' (lacks.py, line 1)"),
        ("no_such:f", "got no module named 'no_such'; a file is given as path/file.py:Attribute"),
        ("os.no_such:f", "an importable module, os.no_such, got no module named 'os.no_such'"),
        ("relative.py:f", "(relative.py, line 1); a file in a package is given as package.module:"),
        ("older.py:f", "to load older.py, got ImportError: too old (older.py, line 1)"),
        ("other.py:f", "to load other.py, got ValueError: no relative import (other.py, line 1)"),
        ("./notes.txt:f", "to name a Python file, `path/file.py`, got './notes.txt' (str)"),
        ("gone.py:f", "to name a Python file, gone.py, got no such file"),
        ("folder.py:f", "to name a Python file, folder.py, got a folder"),
        ("./notes:f", "to name a Python file, `path/file.py`, got './notes' (str)"),
        ("many.py:value", "no such attribute; close to it: valued, valuec, valueb"),
        ("net.py:Nett", "an attribute 'Nett' of net.py, got no such attribute; close to it: Net"),
        ("net.py:zzzz", "to name an attribute 'zzzz' of net.py, got no such attribute"),
        ("net.py:Net.innner", "attribute 'innner' of net.py, got no such attribute; close to it"),
        ("net", "`package.module:Attribute` or `path/file.py:Attribute`, got 'net' (str)"),
        ("net.Net", "got 'net.Net' (str); perhaps net:Net"),
        ("net:", "got 'net:' (str)"),
        (":Net", "got ':Net' (str)"),
        ("net: ", "got 'net: ' (str)"),
        (".Net", "got '.Net' (str)"),
        ("net.3", "got 'net.3' (str)"),
    ],
)
def test_what_cannot_be_loaded(folder, target, says):
    before = sys.path.copy(), set(sys.modules)
    with pytest.raises(TargetError) as caught:
        load(target)
    message = str(caught.value)
    assert says in message
    assert message.endswith(says) or not target.endswith(("zzzz", "value"))
    assert ("perhaps" in message) == (target == "net.Net")
    assert ("a file in a package" in message) == (target == "relative.py:f")
    assert (sys.path, set(sys.modules) & {"helper", "net", "raises"}) == (before[0], set())


def test_a_file_without_an_attribute_says_what_it_has(tmp_path):
    file = tmp_path / "layers.py"
    file.write_text("def _f(): ...\ndef helper(): ...\nclass Noise:\n    def drop(self): ...\n")
    with pytest.raises(TargetError, match=rf"perhaps {file}:Noise or {file}:helper$"):
        load(str(file))
    file.write_text("def dropout(x):\n    return '\\d'\n")
    with pytest.raises(TargetError, match=rf"perhaps {file}:dropout$"):
        load(str(file))
    for text in ("class (:\n", "def f(x):\n    return " + "-" * 5_000 + "x\n"):
        file.write_text(text)
        with pytest.raises(TargetError, match=r"got '.*layers.py' \(str\)$"):
            load(str(file))
    with pytest.raises(TargetError, match=r"got 'none.py' \(str\)$"):
        load("none.py")


@pytest.mark.parametrize("target", ["net.py:Net.inner", "./net.py:Net.inner", "net:Net.inner"])
def test_a_target_is_loaded_with_its_neighbours(folder, target):
    thing, home = load(target)
    assert thing == 3
    assert home.folder == str(folder)
    assert "helper" in home.modules
    assert "helper" not in sys.modules
    assert str(folder) not in sys.path


def test_what_lies_elsewhere_needs_no_home(folder):
    thing, home = load("os.path:join")
    assert thing is os.path.join
    assert (home.folder, home.modules) == (None, {})
    with home:
        assert sys.path[0] != str(folder)


def test_files_of_the_same_name_are_modules_of_their_own(folder):
    one, other = load("net.py:Net")[0], load("net.py:Net")[0]
    assert one is not other
    assert one.__module__ != other.__module__
    assert one.__module__.startswith("_torchdropout_target_net_")


def test_a_home_is_there_while_its_code_runs(folder, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    other = types.ModuleType("helper")
    monkeypatch.setitem(sys.modules, "helper", other)
    lazy, home = load("net.py:lazy")
    mine = home.modules.get("helper")
    assert mine is None or mine is not other
    path = sys.path.copy()
    with home:
        assert sys.path == [str(folder), *path]
        assert sys.dont_write_bytecode
        later = lazy()
        with home:
            assert sys.modules["later"] is later
        assert sys.modules["later"] is later
    assert sys.path == path
    assert not sys.dont_write_bytecode
    assert sys.modules["helper"] is other
    assert "later" not in sys.modules
    assert home.modules["later"] is later
    with home:
        assert lazy() is later


def test_what_was_imported_before_is_neither_taken_nor_lost(folder, monkeypatch):
    home = load("net.py:Net")[1]
    for name in ("test_loading_before", "helper"):
        other = types.ModuleType(name)
        other.__file__ = str(folder / f"{name}.py")
        monkeypatch.setitem(sys.modules, name, other)
    before = dict(sys.modules)
    with home:
        assert sys.modules["helper"] is home.modules["helper"]
        later = importlib.import_module("later")
    assert sys.modules == before
    assert home.modules["later"] is later
    assert "test_loading_before" not in home.modules


def test_modules_from_elsewhere_stay(folder, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "test_loading_elsewhere.py").write_text("")
    monkeypatch.syspath_prepend(elsewhere)
    (folder / "far.py").write_text("import test_loading_elsewhere as other")
    module, home = load("far.py:other")
    assert sys.modules.pop("test_loading_elsewhere") is module
    assert "test_loading_elsewhere" not in home.modules


def test_a_module_of_the_folder_that_was_there_before_stays(folder, monkeypatch):
    earlier = types.ModuleType("earlier")
    earlier.__file__ = str(folder / "earlier.py")
    monkeypatch.setitem(sys.modules, "earlier", earlier)
    home = Home(str(folder))
    with home:
        import later
    assert home.modules == {"later": later}
    assert sys.modules["earlier"] is earlier


def test_a_folder_that_is_on_the_path_keeps_no_modules(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    _, home = load("net:Net")
    assert sys.modules.pop("helper").name == "mine"
    assert sys.modules.pop("net").Net.inner == 3
    assert home.modules == {}


@pytest.mark.parametrize(
    ("attributes", "is_mine"),
    [
        ({"__file__": "/a/b/c.py"}, True),
        ({"__file__": "/a/c.py"}, False),
        ({"__file__": "/a/b/c/__init__.py", "__path__": ["/a/b/c"]}, True),
        ({"__path__": ["/z/c", "/a/b/c"]}, True),
        ({"__path__": []}, False),
        ({"__file__": None}, False),
        ({}, False),
    ],
)
def test_modules_that_lie_in_the_folder(attributes, is_mine, monkeypatch):
    module = types.ModuleType("test_loading_module")
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, "test_loading_module", module)
    home = Home("/a/b")
    assert home._is_mine("test_loading_module") == is_mine
    assert home._is_mine("test_loading_module.inner") == is_mine
    assert not Home()._is_mine("test_loading_module")
    assert not home._is_mine("test_loading_gone")
    monkeypatch.setitem(sys.modules, "test_loading_module", None)
    assert not home._is_mine("test_loading_module")


def test_a_path_may_be_that_of_another_folder(folder, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("here"))
    assert load(f"{folder}/net.py:Net")[1].folder == str(folder)
    assert load(f"{Path(os.path.relpath(folder))}/net.py:Net")[1].folder == str(folder)
