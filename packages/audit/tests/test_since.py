"""`--since`: only files that have changed since a revision."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from torchdropout_audit import audit_paths, changes
from torchdropout_audit.__main__ import main
from torchdropout_audit.errors import ArgumentValueError

if shutil.which("git") is None:
    pytest.skip("needs git", allow_module_level=True)

BAD = "from torch import nn\n\ndrop = nn.Dropout(1.5)\n"


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    """A current folder in no repository, and git without the settings of this machine."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
        "GIT_CEILING_DIRECTORIES": str(tmp_path.parent),
        "TORCHDROPOUT_CACHE": str(tmp_path / ".cache"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


def git(*arguments, folder="."):
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def put(path, text=BAD):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def commit(folder=".", message="m"):
    git("add", "-A", folder=folder)
    git("commit", "-q", "--allow-empty", "-m", message, folder=folder)


def repository(folder, *names):
    """A repository with files, in one commit on the branch `main`."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    git("init", "-q", "-b", "main", folder=folder)
    for name in names:
        put(Path(folder, name))
    commit(folder)


def found(*paths, since="HEAD", **how):
    report = audit_paths(paths or ["."], since=since, cache=False, **how)
    assert report.problems == ()
    assert report.files == len({f.path for f in report.findings})
    return sorted({f.path for f in report.findings})


def test_nothing_has_changed(capsys):
    repository(".", "a.py", "b.py")
    assert found() == []
    assert main(["--since", "HEAD"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("no errors in no files (")
    assert err == "torchdropout-audit: no file has changed since HEAD\n"
    assert main([]) == 1


def test_what_counts_as_changed():
    repository(".", "same.py", "edited.py", "staged.py", "deleted.py", "old name.py", "sub/ä b.py")
    put(".gitignore", "ignored.py\n")
    commit()
    git("tag", "v1")
    put("edited.py", BAD + "# more\n")
    put("staged.py", BAD + "# more\n")
    git("add", "staged.py")
    Path("deleted.py").unlink()
    git("mv", "old name.py", "new name.py")
    put("sub/ä b.py", BAD + "# more\n")
    put("sub/untracked.py")
    put("ignored.py")
    Path("same.py").touch()
    changed = ["edited.py", "new name.py", "staged.py", "sub/untracked.py", "sub/ä b.py"]
    assert found() == changed
    commit()
    assert found() == []
    assert found(since="v1") == found(since="HEAD~1") == changed
    assert found("sub", since="v1") == ["sub/untracked.py", "sub/ä b.py"]
    assert found("sub/untracked.py", "same.py", since="v1") == ["sub/untracked.py"]
    assert found(since="HEAD", respect_gitignore=False) == ["ignored.py"]
    assert found(since="v1", exclude=["sub/"]) == changed[:3]


def test_from_another_folder_and_by_other_paths(monkeypatch):
    repository("r", "a.py", "deep/b.py")
    put("r/deep/b.py", BAD + "# more\n")
    assert found("r") == ["r/deep/b.py"]
    assert found(Path("r").resolve()) == [str(Path("r/deep/b.py").resolve())]
    Path("link").symlink_to("r")
    assert found("link") == ["link/deep/b.py"]
    monkeypatch.chdir("r/deep")
    assert found("..") == ["../deep/b.py"]
    assert found() == ["b.py"]


def test_a_link_counts_with_what_it_points_to():
    repository("r", "a.py", "b.py")
    Path("r/to_a.py").symlink_to("a.py")
    commit("r")
    assert found("r/to_a.py") == []
    put("r/a.py", BAD + "# more\n")
    assert found("r/to_a.py") == ["r/to_a.py"]
    Path("r/to_a.py").unlink()
    Path("r/to_a.py").symlink_to("b.py")
    assert found("r/to_a.py") == ["r/to_a.py"]


def test_paths_in_two_repositories():
    repository("one", "a.py", "b.py")
    repository("two", "a.py", "b.py")
    put("one/a.py", BAD + "# more\n")
    put("two/b.py", BAD + "# more\n")
    assert found("one", "two") == ["one/a.py", "two/b.py"]


def test_since_the_branch_left_another():
    repository(".", "a.py", "b.py")
    git("checkout", "-q", "-b", "branch")
    put("a.py", BAD + "# more\n")
    commit()
    git("checkout", "-q", "main")
    put("b.py", BAD + "# more\n")
    commit()
    git("checkout", "-q", "branch")
    assert found(since="main") == ["a.py", "b.py"]
    assert found(since="main...") == ["a.py"]


def test_a_file_of_the_same_content_has_not_changed():
    """However it is compared: by the notes of git, or by what is in it."""
    repository("r", "a.py", "line_ends.py", "b.py")
    git("config", "core.autocrlf", "true", folder="r")
    text = BAD.replace("\n", "\r\n").encode()
    Path("r/line_ends.py").write_bytes(text)
    for path in Path("r").glob("*.py"):
        os.utime(path, (1, 1))
    assert found("r") == []
    Path("r/line_ends.py").write_bytes(text + b"x = 1\r\n")
    assert found("r") == ["r/line_ends.py"]


def test_nothing_is_written_to_the_repository():
    repository("r", "a.py", "b.py")
    os.utime("r/a.py", (1, 1))
    before = {path: path.stat().st_mtime_ns for path in Path("r").rglob("*")}
    put("r/b.py", BAD + "# more\n")
    assert found("r") == ["r/b.py"]
    after = {path: path.stat().st_mtime_ns for path in Path("r").rglob("*")}
    assert after == before | {Path("r/b.py"): Path("r/b.py").stat().st_mtime_ns}


@pytest.mark.parametrize(
    "settings",
    [
        ["init", "-q", "--object-format=sha256"],
        ["update-index", "--split-index"],
        ["sparse-checkout", "set", "--cone", "--sparse-index", "sub"],
        ["update-index", "--index-version", "4"],
        ["update-index", "--untracked-cache"],
    ],
    ids=[
        "sha256",
        "split index",
        "sparse index",
        "index of version 4",
        "untracked cache",
    ],
)
def test_forms_of_a_repository(settings):
    Path("r").mkdir()
    if settings[0] == "init":
        git(*settings, folder="r")
    repository("r", "a.py", "sub/b.py", "other/c.py")
    if settings[0] != "init":
        git(*settings, folder="r")
    assert found("r") == []
    put("r/sub/b.py", BAD + "# more\n")
    put("r/sub/new.py")
    assert found("r") == ["r/sub/b.py", "r/sub/new.py"]


def test_a_second_work_tree_and_a_repository_elsewhere():
    repository("r", "a.py", "b.py")
    put("r/.git/info/exclude", "ignored.py\n")
    git("worktree", "add", "-q", "../second", folder="r")
    git("clone", "-q", "--separate-git-dir", "folder", "r", "third")
    put("third/.git", f"gitdir: {Path('folder').resolve()}\n")
    put("folder/info/exclude", "ignored.py\n")
    for top in ("second", "third"):
        put(f"{top}/b.py", BAD + "# more\n")
        put(f"{top}/ignored.py")
        assert found(top) == [f"{top}/b.py"]
        assert found(f"{top}/ignored.py") == []
    assert found("r") == []


def test_repositories_in_a_repository():
    repository("r", "a.py")
    repository("r/sub/inner", "b.py")
    put("r/sub/inner/b.py", BAD + "# more\n")
    assert found("r") == []
    assert found("r/sub/inner") == ["r/sub/inner/b.py"]
    for named in ("r/sub", "r/sub/"):
        assert main(["--since", "HEAD", named]) == 2  # something was expected to be audited
        report = audit_paths([named, "r/sub/inner"], since="HEAD", cache=False)
        assert [f.path for f in report.findings] == ["r/sub/inner/b.py"]
        assert report.problems == (
            f"{named}: nothing was compared: its files are in other repositories, such as "
            f"{Path('r/sub/inner').resolve()}; name that one to audit what has changed in it",
        )
    put("r/sub/c.py")
    assert found("r/sub") == ["r/sub/c.py"]


def test_the_environment_may_name_the_repository(monkeypatch):
    repository("r", "a.py", "sub/b.py")
    repository("other", "c.py")
    Path("r/.git").rename("folder")
    put("r/sub/b.py", BAD + "# more\n")
    put("other/c.py", BAD + "# more\n")
    monkeypatch.setenv("GIT_DIR", "folder")
    monkeypatch.setenv("GIT_WORK_TREE", "r")
    assert found("r", "other") == ["other/c.py", "r/sub/b.py"]
    monkeypatch.setenv("GIT_DIR", str(Path("folder").resolve()))
    monkeypatch.delenv("GIT_WORK_TREE")
    monkeypatch.setenv("GIT_INDEX_FILE", "nowhere")
    monkeypatch.chdir("r")  # as git does for a hook
    assert found("sub") == ["sub/b.py"]


def test_folders_that_the_environment_keeps_git_from(monkeypatch, capsys):
    repository("r", "sub/a.py")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(Path("r").resolve()))
    assert "git work tree, got 'r/sub'" in refused(capsys, "--since", "HEAD", "r/sub")
    assert found("r") == []


# No program that a repository names is run. Each of these leaves a mark once it runs.

PLANTED = {}


def planted(plant):
    PLANTED[plant.__name__.replace("_", " ")] = plant
    return plant


def with_attributes(setting, value):
    put("r/.git/info/attributes", "*.py filter=x diff=x\n")
    git("config", setting, value, folder="r")


@planted
def a_clean_filter(program):
    with_attributes("filter.x.clean", program)


@planted
def a_process_filter(program):
    with_attributes("filter.x.process", program)


@planted
def a_filter_for_attributes_elsewhere(program):
    put("attributes", "*.py filter=x\n")
    git("config", "core.attributesFile", Path("attributes").resolve(), folder="r")
    git("config", "filter.x.clean", program, folder="r")


@planted
def settings_that_are_included(program):
    git("config", "-f", "r/.git/more", "filter.x.clean", program)
    with_attributes("include.path", "more")


@planted
def settings_of_one_work_tree(program):
    with_attributes("extensions.worktreeConfig", "true")
    git("config", "--worktree", "filter.x.clean", program, folder="r")


@planted
def an_external_diff(program):
    git("config", "diff.external", program, folder="r")


@planted
def a_text_conversion(program):
    with_attributes("diff.x.textconv", program)


@planted
def a_monitor(program):
    git("config", "core.fsmonitor", program, folder="r")


@planted
def a_hook(program):
    Path("r/.git/hooks").mkdir(exist_ok=True)
    shutil.copy(program, "r/.git/hooks/post-index-change")


@planted
def hooks_elsewhere(program):
    Path("hooks").mkdir()
    shutil.copy(program, "hooks/post-index-change")
    git("config", "core.hooksPath", Path("hooks").resolve(), folder="r")


@planted
def a_submodule(program):
    repository("r/sub", "b.py")
    git("-c", "advice.addEmbeddedRepo=false", "add", "sub", folder="r")
    git("config", "filter.x.clean", program, folder="r/sub")
    put("r/sub/.gitattributes", "*.py filter=x\n")
    os.utime("r/sub/b.py", (1, 1))


def without_objects(program, *url):
    """Lets the branch `main` lack its commit, which is to be fetched."""
    git("checkout", "-q", "--detach", folder="r")
    put("r/.git/refs/heads/main", "1" * 40 + "\n")
    for setting, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "core.sshCommand": program,
        "protocol.ext.allow": "always",
        "remote.origin.uploadPack": program,
        "remote.origin.url": url[0],
    }.items():
        git("config", setting, value, folder="r")


@planted
def a_transport_for_missing_objects(program):
    without_objects(program, "ssh://host/r")


@planted
def a_program_as_transport(program):
    without_objects(program, f"ext::{program} x")


@planted
def a_program_on_the_other_side(program):
    without_objects(program, Path("r").resolve().as_uri())


@pytest.fixture
def program(tmp_path):
    """A program that makes the file `mark`; without an argument, it copies stdin as a filter."""
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\ntouch '{tmp_path}/mark'\n[ $# -gt 0 ] || cat\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.integration
@pytest.mark.parametrize("name", PLANTED)
def test_no_program_that_a_repository_names_is_run(name, program):
    repository("r", "a.py", "same.py")
    git("update-ref", "refs/heads/other", "HEAD", folder="r")
    PLANTED[name](program)
    Path("mark").unlink(missing_ok=True)
    put("r/a.py", BAD + "# more\n")
    os.utime("r/same.py", (1, 1))
    if name.startswith(("a transport", "a program")):
        with pytest.raises(ArgumentValueError, match="to be a revision"):
            found("r", since="main")
    assert found("r", since="other") == ["r/a.py"]
    assert not Path("mark").exists()
    subprocess.run(["git", "-C", "r", "diff", "main"], capture_output=True, check=False)
    assert Path("mark").exists()  # git alone runs it


def repository_inside(folder, program):
    """Lets a folder of a repository, without `.git`, be a repository with a work tree."""
    repository("inside", "m.py")
    git("update-ref", "refs/remotes/origin/main", "HEAD", folder="inside")
    git("config", "core.worktree", ".", folder="inside")
    git("config", "filter.x.clean", program, folder="inside")
    put("inside/.gitattributes", "m.py filter=x\n")
    for path in Path("inside/.git").iterdir():
        path.rename(Path("inside", path.name))
    Path("inside/.git").rmdir()
    Path("inside").rename(folder)


@pytest.mark.integration
def test_a_folder_of_a_clone_is_not_taken_for_a_repository(program, monkeypatch, capsys):
    repository("r", "a.py")
    repository_inside("r/lib", program)
    put("r/pyproject.toml", '[tool.torchdropout.audit]\npaths = ["lib"]\n')
    commit("r")
    git("clone", "-q", "r", "clone")
    monkeypatch.chdir("clone")
    assert main(["--since", "origin/main..."]) == 0
    assert (
        capsys.readouterr().err == "torchdropout-audit: no file has changed since origin/main...\n"
    )
    put("lib/m.py", BAD + "# more\n")
    assert found("lib", since="origin/main...") == ["lib/m.py"]
    assert not Path("../mark").exists()
    git("diff", "origin/main", folder="lib")
    assert Path("../mark").exists()


# Errors: one line and exit code 2.


def refused(capsys, *arguments):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()[-1]


def test_outside_a_work_tree(capsys):
    put("a.py")
    said = refused(capsys, "--since", "HEAD", "a.py")
    assert said.startswith("Error: Expected `since` to be used in a git work tree, got '.' (not a")
    repository("r", "a.py")
    assert "git work tree, got '.'" in refused(capsys, "--since", "HEAD", "r", "a.py")


@pytest.mark.parametrize(
    "revision",
    [
        "no",
        "",
        "-",
        "-h",
        "--all",
        "--output=x",
        "a\0b",
        "...",
        "main:a.py",
        ":a.py",
        "no...",
        "HEAD~9",
        "main..main",
    ],
)
def test_unknown_revisions(revision, capsys):
    repository(".", "a.py")
    said = refused(capsys, f"--since={revision}")
    assert said == (
        f"Error: Expected `since` to be a revision of {Path.cwd()}, got {revision!r} (str)"
    )
    assert not Path("x").exists()


def test_a_branch_with_nothing_in_common(capsys):
    repository(".", "a.py")
    git("checkout", "-q", "--orphan", "other")
    commit(message="another")
    assert found(since="main") == []
    assert "to be a revision of" in refused(capsys, "--since", "main...")


def test_a_repository_without_a_commit(capsys):
    git("init", "-q")
    put("a.py")
    assert "got 'HEAD' (str)" in refused(capsys, "--since", "HEAD")


def test_a_shallow_clone_says_so(capsys, monkeypatch):
    repository("r", "a.py")
    put("r/a.py", BAD + "# more\n")
    commit("r")
    git("clone", "-q", "--depth", "1", Path("r").resolve().as_uri(), "clone")
    said = refused(capsys, "--since", "HEAD~1", "clone")
    assert said.endswith("got 'HEAD~1' (str); the clone is shallow, and may lack it")


def test_without_git(capsys, monkeypatch):
    repository(".", "a.py")
    monkeypatch.setenv("PATH", str(Path("nowhere").resolve()))
    said = refused(capsys, "--since", "HEAD")
    assert said == "Error: Expected `since` to find the program git in PATH, got none"


@pytest.fixture
def git_that(tmp_path, monkeypatch):
    """Puts a git before the other one that does something else for some commands."""

    def put_first(script):
        (tmp_path / "bin").mkdir()
        path = tmp_path / "bin" / "git"
        path.write_text(f'#!/bin/sh\n{script}\nexec "{shutil.which("git")}" "$@"\n')
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")

    return put_first


@pytest.mark.parametrize("failing", ["diff", "ls-files"])
@pytest.mark.parametrize(
    ("stderr", "words"), [(r"fatal: no room\nmore\n", "no room"), ("", "exit code 3")]
)
def test_a_git_that_fails(git_that, failing, stderr, words):
    repository("r", "a.py")
    git_that(f'case " $* " in *" {failing} "*) printf "{stderr}" >&2; exit 3;; esac')
    with pytest.raises(ArgumentValueError) as caught:
        found("r")
    top = Path("r").resolve()
    assert str(caught.value) == f"Expected git to list the files of {top}, got an error: {words}"


def test_a_git_that_does_not_end(git_that, monkeypatch):
    repository("r", "a.py")
    git_that("exec sleep 100")
    monkeypatch.setattr(changes, "_MOST_SECONDS", 0.1)
    with pytest.raises(ArgumentValueError, match=r"to run git, got: .* timed out"):
        found("r")


def test_a_git_in_the_current_folder_is_not_run(program, monkeypatch):
    repository(".", "a.py")
    shutil.copy(program, "git")
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", os.environ["PATH"]]))
    assert found() == []
    assert not Path("mark").exists()


def test_stdin_has_no_revision(capsys):
    assert "Expected --since with files and folders" in refused(capsys, "--since", "HEAD", "-")


def test_a_path_that_does_not_exist_is_a_problem_as_without(capsys):
    repository(".", "a.py")
    assert main(["--since", "HEAD", "no.py"]) == 2
    assert "no.py: no such file or folder" in capsys.readouterr().err
    with pytest.raises(ArgumentValueError, match="to be a revision"):
        audit_paths(["."], since="no")
