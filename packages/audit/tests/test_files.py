"""Which files are found, and how they are read and written."""

import os
import random
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from torchdropout_audit.files import NOT_SOURCE, find_files, leads_out, read_source, write_over
from torchdropout_audit.patterns import Patterns
from torchdropout_audit.reporting.reading import read_bytes

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
needs_links = pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Makes empty files in the current folder, from their paths."""
    monkeypatch.chdir(tmp_path)

    def make(*names):
        for name in names:
            write(name, "")
        return tmp_path

    return make


def found(*paths, **options):
    files, problems = find_files(paths, **options)
    assert problems == []
    return [Path(file).as_posix() for file in files]


def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


# --- What is found ------------------------------------------------------------------------------


def test_python_and_notebooks_below_a_folder_in_order(tree):
    tree("b.py", "a.py", "n.ipynb", "s.pyi", "t.txt", "README", "z/a.py", "c/d/e.py", "c/b.py")
    assert found(".") == ["a.py", "b.py", "n.ipynb", "c/b.py", "c/d/e.py", "z/a.py"]


def test_paths_go_from_the_argument(tree):
    root = tree("src/p/a.py")
    assert found("src/") == ["src/p/a.py"]
    assert found("./src/p/../p") == ["src/p/a.py"]
    assert found(root / "src") == [(root / "src/p/a.py").as_posix()]


def test_a_named_file_is_taken_whatever_its_suffix(tree):
    tree("script", "model.pyi")
    assert found("script", "model.pyi") == ["script", "model.pyi"]


def test_what_is_reached_twice_is_taken_once(tree):
    root = tree("p/a.py", "p/b.py")
    assert found("p/b.py", "p", "./p/a.py", root / "p", "p") == ["p/b.py", "p/a.py"]


@pytest.mark.parametrize("name", sorted(NOT_SOURCE))
def test_folders_that_hold_no_source(tree, name):
    tree(f"{name}/a.py", f"p/{name}/b.py", "p/c.py", f"p/{name}er/d.py")
    assert found(".") == ["p/c.py", f"p/{name}er/d.py"]  # not what is named so in part
    assert found(name) == [f"{name}/a.py"]  # who names it wants it


def test_a_virtual_environment_of_any_name(tree):
    tree("env39/pyvenv.cfg", "env39/lib/a.py", "b.py")
    assert found(".") == ["b.py"]
    assert found("env39") == ["env39/lib/a.py"]


def test_names_of_all_scripts_and_with_spaces(tree):
    tree("mein modèl/é ü.py", "模型.py")
    assert found(".") == ["模型.py", "mein modèl/é ü.py"]


# --- Exclude ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["tests"], ["a.py", "src/b.py", "src/gen/c.py"]),
        (["gen/"], ["a.py", "src/b.py", "tests/d.py", "src/tests/e.py"]),
        (["/tests"], ["a.py", "src/b.py", "src/gen/c.py", "src/tests/e.py"]),
        (["src/*.py"], ["a.py", "src/gen/c.py", "src/tests/e.py", "tests/d.py"]),
        (["*.py", "!b.py"], ["src/b.py"]),
        (["**/gen/**", "tests"], ["a.py", "src/b.py"]),
        (["a.py", "b.py"], ["src/gen/c.py", "src/tests/e.py", "tests/d.py"]),
        (["*.py/", "gen"], ["a.py", "src/b.py", "src/tests/e.py", "tests/d.py"]),
    ],
)
def test_exclude(tree, patterns, left):
    tree("a.py", "src/b.py", "src/gen/c.py", "tests/d.py", "src/tests/e.py")
    assert sorted(found(".", exclude=patterns)) == sorted(left)


def test_exclude_is_for_named_files_too(tree):
    tree("src/gen/c.py", "a.py")
    assert found("src/gen/c.py", "a.py", exclude=["gen"]) == ["a.py"]


def test_exclude_is_relative_to_the_root(tree, monkeypatch):
    root = tree("src/a.py", "src/src/b.py")
    monkeypatch.chdir("src")
    assert found(".", exclude=["/src/a.py"], root="..") == ["src/b.py"]
    assert found(".", exclude=["/src"]) == ["a.py"]
    monkeypatch.chdir("/")
    assert found(root, exclude=["/src/src"], root=root) == [(root / "src/a.py").as_posix()]


def test_a_path_outside_the_root_is_not_excluded(tree):
    tree("in/a.py", "out/a.py")
    assert found("out", exclude=["a.py"], root="in") == ["out/a.py"]


# --- .gitignore ---------------------------------------------------------------------------------


def test_outside_a_work_tree_a_gitignore_says_nothing(tree):
    tree("a.py", "b.py")
    write(".gitignore", "a.py")
    assert found(".") == ["a.py", "b.py"]
    Path(".git").mkdir()
    assert found(".") == ["b.py"]
    assert found(".", respect_gitignore=False) == ["a.py", "b.py"]


def test_the_nearest_gitignore_has_the_last_word(tree):
    tree(".git/HEAD", "gen_a.py", "p/gen_b.py", "p/keep/gen_c.py", "p/keep/d.py")
    write(".gitignore", "gen_*.py\n# a comment\n\n")
    write("p/keep/.gitignore", "!gen_*.py\nd.py")
    assert found(".") == ["p/keep/gen_c.py"]


def test_nothing_comes_back_from_an_ignored_folder(tree):
    tree(".git/HEAD", "out/a.py", "b.py")
    write(".gitignore", "out/\n!out/a.py")
    write("out/.gitignore", "!*")
    assert found(".") == ["b.py"]


def test_the_work_tree_begins_above(tree, monkeypatch):
    tree(".git/HEAD", "src/p/a.py", "src/p/b.py", "src/c.py")
    write(".gitignore", "/src/p/a.py\nc.py")
    write(".git/info/exclude", "b.py")
    assert find_files(["src"])[0] == []
    assert found("src", respect_gitignore=False) == ["src/c.py", "src/p/a.py", "src/p/b.py"]
    write(".git/info/exclude", "")
    monkeypatch.chdir("src/p")
    assert found(".") == ["b.py"]


def test_who_names_what_is_ignored_wants_it(tree):
    tree(".git/HEAD", "gen/a.py", "gen/deep/b.py", "gen/deep/c.py", "gen/d.py")
    write(".gitignore", "gen/\nd.py")
    write("gen/deep/.gitignore", "c.py")
    assert find_files(["."])[0] == []
    assert found("gen/d.py") == ["gen/d.py"]
    assert found("gen") == ["gen/a.py", "gen/d.py", "gen/deep/b.py"]
    assert found("gen/deep") == ["gen/deep/b.py"]


def test_a_gitignore_that_is_none(tree):
    tree(".git/HEAD", "a.py")
    Path(".gitignore").mkdir()
    assert found(".") == ["a.py"]
    Path(".gitignore").rmdir()
    Path(".gitignore").write_bytes(b"\xff\xfe\n!\n")
    assert found(".") == ["a.py"]


def listed_by_git():
    git = ["git", "-c", "core.excludesFile="]
    subprocess.run([*git, "init", "-q"], check=True)
    command = [*git, "ls-files", "-z", "--others", "--exclude-standard", "*.py"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True)
    return sorted(filter(None, listed.stdout.split("\0")))


PATTERNS = [
    *("a", "*.py", "!a.py", "/a", "a/", "b/*", "!b/", "log/**", "**/a", "**/log/*.py", "a/**/b"),
    *("x?", "x[0-9].py", "!x1.py", "foo.*", "!**/b.py", "b/a.py", "/log/b/", "*", "!*/", "# c", ""),
    *(" a", "b.py ", "!log/**", "**", "[ab]", "[!a].py", "[^a-f]*", "[]x]1.py", "[z-a].py", "[a"),
    *("\\!b.py", "\\a.py", "a\\ ", "a**", "**.py", "[[]", "x[\\0-9].py", "/*/a.py", "a//b", "!"),
    "/",
]
NAMES = ["a", "b", "log", "x1", "foo.d", "!b", "[", "]1"]


@needs_git
@pytest.mark.parametrize("seed", range(30))
def test_git_agrees_about_patterns_drawn_at_random(tree, seed):
    chance = random.Random(seed)
    tree()
    for _ in range(16):
        folders = chance.choices(NAMES, k=chance.randrange(4))
        write(Path(*folders, f"{chance.choice(NAMES)}.py"), "")
    for folder in (".", *NAMES):
        if Path(folder).is_dir() and (folder == "." or chance.random() < 0.4):
            write(Path(folder, ".gitignore"), "\n".join(chance.sample(PATTERNS, 5)) + "\n")
    assert listed_by_git() == sorted(find_files(["."])[0])


# --- What cannot be had -------------------------------------------------------------------------


def test_a_path_that_does_not_exist(tree):
    tree("a.py")
    assert find_files(["no", "a.py", "a.py/x"]) == (
        ["a.py"],
        ["no: no such file or folder", "a.py/x: not a directory"],
    )


def test_a_folder_without_python_says_so(tree):
    tree("empty/README", "full/a.py")
    assert find_files(["empty", "full"]) == (
        ["full/a.py"],
        ["empty: no Python file or notebook to audit"],
    )
    # All of it is there already: there was something.
    assert find_files(["full/a.py", "full"]) == (["full/a.py"], [])


def test_no_paths():
    assert find_files([]) == ([], [])


@needs_links
def test_links_do_not_lead_round(tree):
    tree("p/a.py", "q/b.py")
    Path("p/again").symlink_to("..", target_is_directory=True)
    Path("p/self").symlink_to("self")
    Path("p/loop.py").symlink_to("loop.py")
    Path("p/nowhere.py").symlink_to("no/such.py")
    files, problems = find_files(["p"])
    assert files == ["p/a.py"]
    assert problems == ["p/loop.py: too many levels of symbolic links"]
    assert find_files(["p/nowhere.py"]) == ([], ["p/nowhere.py: no such file or folder"])


@needs_links
def test_a_link_to_a_file_and_a_named_link_to_a_folder(tree):
    tree("p/a.py", "real/b.py")
    Path("p/b.py").symlink_to("../real/b.py")
    Path("link").symlink_to("real", target_is_directory=True)
    Path("p/c.py").symlink_to("a.py")
    assert found("p") == ["p/a.py", "p/b.py"]
    assert found("link") == ["link/b.py"]
    assert found("p", "link") == ["p/a.py", "p/b.py"]
    Path("only").mkdir()
    Path("only/link.py").symlink_to("../real/b.py")
    assert found("only") == ["only/link.py"]


@needs_links
@pytest.mark.parametrize(
    ("path", "named", "expected"),
    [
        ("in/link.py", ["in"], True),
        ("in/link.py", ["in", "ou"], True),
        ("in/link.py", ["in", "out"], False),
        ("in/link.py", ["out", "in"], False),
        ("in/link.py", ["in", Path("in/link.py")], False),
        ("in/near.py", ["in"], False),
        ("in/near.py", ["out"], True),
        ("in/a.py", ["out"], False),  # it is not a link
    ],
)
def test_links_that_lead_out_of_what_is_named(tree, path, named, expected):
    tree("in/a.py", "out/b.py")
    Path("in/link.py").symlink_to("../out/b.py")
    Path("in/near.py").symlink_to("a.py")
    assert leads_out(path, named) is expected


@needs_pipes
def test_what_is_no_file_is_not_opened(tree):
    tree("a.py")
    os.mkfifo("pipe.py")
    assert found(".") == ["a.py"]
    assert find_files(["pipe.py"]) == ([], ["pipe.py: neither a file nor a folder"])


def test_a_folder_that_may_not_be_read(tree, monkeypatch):
    tree("p/a.py", "shut/b.py")
    scan = os.scandir

    def refuse(folder):
        if Path(folder).name == "shut":
            raise PermissionError(13, "Permission denied", folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert find_files(["."]) == (["p/a.py"], ["shut: permission denied"])
    assert find_files(["shut"]) == ([], ["shut: permission denied"])


def test_a_pattern_of_a_folder_names_it_and_what_is_in_it_but_no_file(tmp_path):
    says = Patterns(tmp_path, ["build/"])
    build = str(tmp_path / "build")
    assert says(build, is_folder=True)
    assert says(f"{build}/a.py")
    assert not says(build)


LINES = [
    *("a  ", "a\\ ", "a\\  ", "a\r", "# a", "\\# a", "\\!a", "!a", "", "/", "a", "/a", "a/b", "a?"),
    *("*", "*a*b", "a*b*c", "*ab*b*", "a*b*b", "a**b", "a*b?c", "a*[12]", "a*", "**/a", "**/a/b"),
    *("a/**", "**/a/c", "a/**/b", "a/**/b/c", "[ab]", "[a-c]x", "[!a]", "[^a]", "[]a]", "[\\]]"),
    *("[a&&b]", "[a^]", "[z-a]", "[a", "x[/]y", "a\\*", "[[]", "a/", "*/b", "x/**/b", "a.b"),
]
PATHS = [
    *("a", "a ", "# a", "!a", "x/a", "a/b", "x/a/b", "ab", "xxaxb", "xxbxa", "xxxb", "axc"),
    *("xabxbx", "xabx", "abbc", "acb", "axxb", "axb1c", "ab1", "b", "x/y/a", "a/a/b", "a/x/c"),
    *("a/b/c", "a*", "a/x/y/b", "a/xb", "a/b/x/b/c", "bx", "]", "&", "^", "[a", "x/y", "[", "axb"),
]


@needs_git
@pytest.mark.parametrize("line", LINES)
def test_git_agrees_about_a_line(tree, line):
    root = tree()
    subprocess.run(["git", "init", "-q"], check=True)
    Path(".gitignore").write_bytes(f"{line}\n".encode())
    command = ["git", "-c", "core.excludesFile=", "check-ignore", "--no-index", "-z", "--stdin"]
    listed = subprocess.run(command, input="\0".join(PATHS), capture_output=True, text=True)
    assert listed.stderr == ""
    says = Patterns(root, [line])
    assert [path for path in PATHS if says(str(root / path))] == listed.stdout.split("\0")[:-1]
    assert not any(says(str(root.parent / "other" / path)) for path in PATHS)


def test_patterns_without_any_name_nothing(tmp_path):
    assert not Patterns(tmp_path, [])(str(tmp_path / "a.py"))


# --- Reading ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "encoding", "bom"),
    [
        (b"", "utf-8", b""),
        ("é = 1\r\n".encode(), "utf-8", b""),
        (b"x = 1\n", "utf-8", b"\xef\xbb\xbf"),
        (b"# coding: utf-8\n", "utf-8", b"\xef\xbb\xbf"),
        (b"# -*- coding: latin-1 -*-\n\xe9", "iso-8859-1", b""),
        (b"#!/bin/python\n# vim: set fileencoding=cp1251 :\n\xe0", "cp1251", b""),
        ("# coding: shift_jis\ns = '\u30c9'".encode("shift_jis"), "shift_jis", b""),
        (b"x = 1\n\n# coding: latin-1\n", "utf-8", b""),
        (b"a\rb\x0cc\0\n", "utf-8", b""),
    ],
)
def test_the_encoding_is_that_of_pep_263(data, encoding, bom):
    source = read_source(bom + data)
    assert (source.text, source.encoding) == (data.decode(encoding), encoding)
    assert source.bom == bool(bom)
    assert source.encoded(source.text) == bom + data


# --- Writing ------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.py"
    path.write_bytes(b"old")
    return path


@pytest.mark.parametrize(("mode", "kept"), [(0o750, 0o750), (0o6755, 0o755)])
def test_a_file_is_written_whole_and_keeps_its_mode_without_setuid(path, mode, kept):
    path.chmod(mode)
    assert write_over(str(path), b"old", b"new\r\n")
    assert path.read_bytes() == b"new\r\n"
    assert stat.S_IMODE(path.stat().st_mode) == kept
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(not hasattr(os, "chown"), reason="files have no owners")
@pytest.mark.parametrize(
    ("owner", "is_allowed"), [((1234, 5678), True), ((1234, 5678), False), ((None, 5678), False)]
)
def test_the_owner_stays_or_the_file_does(path, monkeypatch, owner, is_allowed):
    mine = path.stat()
    owner = (mine.st_uid if owner[0] is None else owner[0], owner[1])
    look, given = Path.stat, []

    def of_another(self, **how):
        found = look(self, **how)
        if self.name != "a.py":
            return found
        return os.stat_result((*found[:4], *owner, *found[6:10]))

    def chown(file, uid, gid):
        if not is_allowed:
            raise PermissionError(1, "Operation not permitted")
        given.append((uid, gid))

    monkeypatch.setattr(Path, "stat", of_another)
    monkeypatch.setattr(os, "chown", chown)
    if not is_allowed and owner[0] != mine.st_uid:
        with pytest.raises(PermissionError):
            write_over(str(path), b"old", b"new")
        assert path.read_bytes() == b"old"
    else:
        assert write_over(str(path), b"old", b"new")
        assert given == ([owner] if is_allowed else [])
        assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


@needs_links
def test_a_file_with_two_names_is_left_alone(path):
    path.with_name("b.py").hardlink_to(path)
    with pytest.raises(OSError, match="one file with 2 names"):
        write_over(str(path), b"old", b"new")
    assert path.read_bytes() == b"old"


def test_a_file_that_has_changed_is_left_alone(path):
    assert not write_over(str(path), b"older", b"new")
    assert path.read_bytes() == b"old"


@needs_links
def test_a_link_stays_a_link(path):
    link = path.with_name("link.py")
    link.symlink_to(path)
    assert write_over(str(link), b"old", b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_file_that_cannot_be_replaced_is_as_it_was(path, monkeypatch, error):
    def fail(self, target):
        raise error

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(type(error)):
        write_over(str(path), b"old", b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="every file is replaced with its own mode")
def test_a_read_only_file_is_left_alone(path):
    path.chmod(0o444)
    with pytest.raises(OSError, match="read-only"):
        write_over(str(path), b"old", b"new")
    assert path.read_bytes() == b"old"


def test_a_file_that_changes_while_the_new_one_is_written_is_left_alone(path, monkeypatch):
    sync = os.fsync

    def saved_meanwhile(descriptor):
        sync(descriptor)
        path.write_bytes(b"saved in an editor")

    monkeypatch.setattr(os, "fsync", saved_meanwhile)
    assert not write_over(str(path), b"old", b"new")
    assert path.read_bytes() == b"saved in an editor"
    assert list(path.parent.iterdir()) == [path]


# --- What has no end ----------------------------------------------------------------------------


@needs_pipes
@pytest.mark.timeout(20)
def test_a_gitignore_that_is_a_pipe_or_a_device_is_not_waited_for(tree):
    tree("a.py", "x/b.py", "y/c.py")
    Path(".git").mkdir()
    os.mkfifo("x/.gitignore")
    Path("y/.gitignore").symlink_to("/dev/zero")
    assert found(".") == ["a.py", "x/b.py", "y/c.py"]


@needs_pipes
@pytest.mark.timeout(20)
def test_what_becomes_a_pipe_once_it_is_found_is_not_waited_for(tree):
    """It was a file when its folder was read, and is opened later."""
    tree("a.py")
    os.mkfifo("pipe.py")
    with pytest.raises(OSError, match="neither a file nor a folder"):
        read_bytes("pipe.py", 10)
