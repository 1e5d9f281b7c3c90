"""What was found before is remembered, and nothing that is wrong with the cache is felt."""

import json
import os
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from torchdropout_audit import cache as cache_module
from torchdropout_audit import run as run_module
from torchdropout_audit.cache import Cache, cache_folder, folder_for, key_of
from torchdropout_audit.findings import Edit, Fix, SourceFinding
from torchdropout_audit.run import audit_paths

FIX = Fix("add training=self.training", (Edit(3, 3, "é"), Edit(5, 9, "")), safe=False)
FOUND = [
    SourceFinding("a.py", 1, 2, 3, 4, "TD101", "a-name", "error", "said", "hint", "x = 1", FIX),
    SourceFinding(
        "a.py", 5, 6, 7, 8, "TD999", "b-name", "advice", "said \ud800", cell=3, file_line=7
    ),
]
KEY = b"key" * 10


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "deep" / "cache"


def kept(folder, key=KEY):
    with Cache(folder) as cache:
        return cache.get(key)


def keep(folder, *keys, findings=FOUND):
    with Cache(folder) as cache:
        for key in keys:
            cache.put(key, findings)


def edit(folder, statement, *values):
    database = sqlite3.connect(folder / "audit.sqlite")
    with database:
        found = database.execute(statement, values).fetchall()
    database.close()
    return found


def test_what_was_put_is_there_in_the_next_run(folder):
    assert kept(folder) is None
    keep(folder, KEY)
    assert kept(folder) == FOUND
    assert kept(folder, b"other") is None
    keep(folder, KEY, findings=[])
    assert kept(folder) == []


def test_without_a_folder_nothing_is_remembered():
    keep(None, KEY)
    assert kept(None) is None


def test_the_key_is_of_all_that_findings_depend_on(monkeypatch):
    keys = {
        key_of(b"text", "a.py", ["p", "q"]),
        key_of(b"text ", "a.py", ["p", "q"]),
        key_of(b"text", "b.py", ["p", "q"]),
        key_of(b"text", "a.py", ["p"]),
        key_of(b"a.pytext", "", ["p", "q"]),
        key_of(b"text", "\udce9.py", ["p", "q"]),
    }
    assert len(keys) == 6
    assert key_of(b"text", "a.py", ["q", "p"]) == key_of(b"text", "a.py", frozenset(["p", "q"]))
    monkeypatch.setattr(cache_module, "_version", lambda: b"another set of rules")
    assert key_of(b"text", "a.py", ["p", "q"]) not in keys


def test_the_folder_that_a_path_is_relative_to_is_no_part_of_the_key():
    def key(path):
        return key_of(b"text", path, ["p"])

    assert key("src/a.py") == key("a.py") == key("/srv/src/a.py") == key("..\\src\\a.py")
    assert key("tests/a.py") == key("project/tests/a.py") != key("a.py")
    assert key("mc_dropout/a.py") != key("a.py") != key("test_a.py")


@pytest.mark.parametrize("named", ["a.ipynb", "a.py"])
def test_the_same_tree_from_another_folder_is_not_audited_again(named, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHDROPOUT_CACHE", str(tmp_path / "cache"))
    inner = tmp_path / "outer" / "project" / "src"
    inner.mkdir(parents=True)
    source = "import torch.nn as nn\nnn.Dropout(7)\n"
    if named.endswith("ipynb"):
        cell = {"cell_type": "code", "source": source}
        source = json.dumps({"cells": [cell], "nbformat": 4, "metadata": {}})
    (inner / named).write_text(source)
    monkeypatch.chdir(tmp_path / "outer")
    (first,) = audit_paths(["project"]).findings
    monkeypatch.setattr(run_module, "audit_file", lambda *_: pytest.fail("audited again"))
    for folder, path in ((inner, named), (inner.parent, f"src/{named}")):
        monkeypatch.chdir(folder)
        (again,) = audit_paths(["."]).findings
        assert again == replace(first, path=path)
    (again,) = audit_paths([inner]).findings
    assert again.path == str(inner / named)


def test_the_version_is_that_of_the_sources(tmp_path, monkeypatch):
    audit, shared = tmp_path / "audit", tmp_path / "reporting"
    (audit / "rules").mkdir(parents=True)
    shared.mkdir()
    (shared / "findings.py").write_text("a")
    (audit / "reporting").symlink_to(shared, target_is_directory=True)
    (audit / "rules" / "one.py").write_text("a")
    monkeypatch.setattr(cache_module, "__file__", str(audit / "cache.py"))
    version = cache_module._version.__wrapped__
    seen = {version()}
    (audit / "rules" / "one.py").write_text("b")
    seen.add(version())
    (audit / "rules" / "two.py").write_text("")
    seen.add(version())
    (shared / "findings.py").write_text("b")
    seen.add(version())
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    seen.add(version())
    assert len(seen) == 5


@pytest.mark.parametrize("findings", ["", "no JSON", "7", '[{"path": 1}]', "[7]", "null", b"\xff"])
def test_an_entry_that_is_none_is_passed_over(folder, findings):
    keep(folder, KEY)
    edit(folder, "UPDATE found SET findings = ?", findings)
    assert kept(folder) is None
    keep(folder, KEY)
    assert kept(folder) == FOUND


@pytest.mark.parametrize("data", [b"no database", b"", b"SQLite format 3\0" + bytes(4080)])
def test_a_file_that_is_no_database_is_begun_anew(folder, data):
    folder.mkdir(0o700, parents=True)
    (folder / "audit.sqlite").write_bytes(data)
    keep(folder, KEY)
    assert kept(folder) == FOUND


def test_a_damaged_database_is_replaced_and_all_are_closed(folder, monkeypatch):
    keep(folder, KEY)
    path = folder / "audit.sqlite"
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(len(data) - 4096))  # the pages after the first
    connect, opened = sqlite3.connect, []
    monkeypatch.setattr(
        sqlite3, "connect", lambda *a, **how: opened.append(connect(*a, **how)) or opened[-1]
    )
    keep(folder, KEY)
    assert kept(folder) == FOUND
    assert len(opened) == 3
    for database in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            database.execute("SELECT 1")


def test_a_database_of_another_form(folder):
    folder.mkdir(0o700, parents=True)
    edit(folder, "CREATE TABLE found (something)")
    keep(folder, KEY)
    assert kept(folder) is None  # it is another's: left as it is


def test_a_database_that_is_cut_off(folder):
    keep(folder, *(bytes([i]) * 32 for i in range(200)))
    path = folder / "audit.sqlite"
    path.write_bytes(path.read_bytes()[: 2 * 4096])
    for i in range(200):
        assert kept(folder, bytes([i]) * 32) in (None, FOUND)
    keep(folder, KEY)


def test_a_database_that_another_holds(folder, monkeypatch):
    keep(folder, KEY)
    other = sqlite3.connect(folder / "audit.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    connect, waits = sqlite3.connect, []

    def impatient(path, timeout):
        waits.append(timeout)
        return connect(path, timeout=0.01)

    monkeypatch.setattr(sqlite3, "connect", impatient)
    keep(folder, b"new")
    assert kept(folder) is None
    assert 0 < max(waits) <= 1  # seconds
    monkeypatch.undo()
    other.execute("ROLLBACK")
    other.close()
    assert kept(folder) == FOUND


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    keep(tmp_path / "file" / "below", KEY)
    assert kept(tmp_path / "file" / "below") is None


def test_a_python_without_sqlite(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    keep(folder, KEY)
    assert kept(folder) is None


def test_the_oldest_are_forgotten(folder, monkeypatch):
    monkeypatch.setattr(cache_module, "_MOST", 3)
    keep(folder, b"1", b"2", b"3")
    keep(folder, b"1")  # it is new again
    keep(folder, b"4")
    assert {row[0] for row in edit(folder, "SELECT key FROM found")} == {b"1", b"3", b"4"}


def test_a_run_that_fails_keeps_what_it_had_found(folder):
    def interrupted():
        with Cache(folder) as cache:
            cache.put(KEY, FOUND)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert kept(folder) == FOUND


def test_where_it_lies(monkeypatch):
    assert cache_folder({"TORCHDROPOUT_CACHE": "/t", "XDG_CACHE_HOME": "/x"}) == Path("/t")
    assert cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/torchdropout")
    home = Path.home()
    for platform, folder in (
        ("linux", home / ".cache" / "torchdropout"),
        ("darwin", home / "Library" / "Caches" / "torchdropout"),
        ("win32", Path("/local/torchdropout/Cache")),
    ):
        monkeypatch.setattr(sys, "platform", platform)
        assert cache_folder({"LOCALAPPDATA": "/local"}) == folder


# --- In a run -----------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with one bad file, and a cache of its own."""
    monkeypatch.setenv("TORCHDROPOUT_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "src" / "a.py"
    path.parent.mkdir()
    path.write_text("import torch.nn as nn\nnn.Dropout(7)\n")
    monkeypatch.chdir(tmp_path / "src")
    return path


def test_what_has_not_changed_is_not_audited_again(project, monkeypatch):
    first = audit_paths(["."])
    assert [f.name for f in first.findings] == ["p-out-of-range"]

    def fail(*_):
        raise AssertionError("audited again")

    monkeypatch.setattr("torchdropout_audit.run.audit_rules", fail)
    again = audit_paths(["."])
    assert (again.findings, again.problems, again.files) == (first.findings, (), 1)
    assert "audited again" in audit_paths(["."], cache=False).problems[0]
    assert "audited again" in audit_paths(["."], rules=["p-one"]).problems[0]
    project.write_text(project.read_text() + "\n")
    assert "audited again" in audit_paths(["."]).problems[0]


def test_an_audit_that_failed_is_not_remembered(project, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("torchdropout_audit.run.audit_rules", lambda *_: 1 / 0)
        assert "ZeroDivisionError" in audit_paths(["."]).problems[0]
    assert len(audit_paths(["."]).findings) == 1


def test_a_poisoned_cache_runs_nothing(project, tmp_path):
    audit_paths(["."])
    for (findings,) in edit(tmp_path / "cache", "SELECT findings FROM found"):
        assert isinstance(json.loads(findings), list)  # plain data: nothing to unpickle
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["audit.sqlite"]


# --- Where somebody else may have put it --------------------------------------------------------


@pytest.mark.parametrize("how", ["others", "group", "owner", "link"])
def test_a_folder_that_is_not_the_users_alone_is_left_alone(folder, monkeypatch, how):
    keep(folder, KEY)
    if how == "owner":
        other = folder.stat().st_uid + 1
        monkeypatch.setattr(os, "geteuid", lambda: other)
    elif how == "link":
        folder.rename(folder.with_name("elsewhere"))
        folder.symlink_to("elsewhere")
    else:
        folder.chmod(0o702 if how == "others" else 0o720)
    before = (folder / "audit.sqlite").read_bytes()
    assert kept(folder) is None
    keep(folder, b"new")
    assert (folder / "audit.sqlite").read_bytes() == before
    assert [path.name for path in folder.iterdir()] == ["audit.sqlite"]


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
def test_the_folder_is_made_for_the_user_alone(folder):
    before = os.umask(0)
    try:
        keep(folder, KEY)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("variable", ["TORCHDROPOUT_CACHE", "XDG_CACHE_HOME"])
@pytest.mark.parametrize("place", ["project/.cache", "project/src/deep", "link", ".cache"])
@pytest.mark.parametrize("mark", [".git", "pyproject.toml"])
def test_a_cache_in_what_is_audited_is_left_alone(tmp_path, monkeypatch, variable, place, mark):
    """It may hide a finding: the tree may have come with it."""
    source = tmp_path / "project" / "src"
    source.mkdir(parents=True)
    (tmp_path / "project" / mark).touch()
    (tmp_path / "project" / ".cache").mkdir()
    (tmp_path / "link").symlink_to("project/.cache")
    (source / "a.py").write_text("import torch.nn as nn\nnn.Dropout(7)\n")
    monkeypatch.chdir(source if place == ".cache" else tmp_path)
    given = place if place == ".cache" else str(tmp_path / place)
    monkeypatch.delenv("TORCHDROPOUT_CACHE", raising=False)
    monkeypatch.setenv(variable, given)
    with monkeypatch.context() as patched:  # what came with the tree: no finding
        patched.setattr("torchdropout_audit.run.audit_rules", lambda *_: ([], {}))
        audit_paths([source])
    [found] = audit_paths([source]).findings
    assert found.name == "p-out-of-range"
    assert not list(tmp_path.rglob("audit.sqlite"))


def test_the_cache_of_the_platform_is_used_in_what_is_audited(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    for environment in ({}, {"XDG_CACHE_HOME": str(tmp_path / ".cache")}):
        assert folder_for(["."], environment) == tmp_path / ".cache" / "torchdropout"
    other = {"TORCHDROPOUT_CACHE": str(tmp_path / "other")}
    assert folder_for(["."], other) is None
    (tmp_path / "project").mkdir()
    monkeypatch.chdir("project")
    assert folder_for(["."], other) == tmp_path / "other"
