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
    Path(folder).mkdir(exist_ok=True)
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
    assert capsys.readouterr().out.startswith("no errors in no files (")
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


def test_settings_of_a_repository_run_no_program():
    repository(".", "a.py")
    for setting in ("core.fsmonitor", "diff.external"):
        git("config", setting, "touch ran; false")
    put("a.py", BAD + "# more\n")
    assert found() == ["a.py"]
    assert not Path("ran").exists()


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
    "revision", ["no", "", "-h", "--all", "...", "main:a.py", "no...", "HEAD~9", "main..main"]
)
def test_unknown_revisions(revision, capsys):
    repository(".", "a.py")
    said = refused(capsys, f"--since={revision}")
    assert said == (
        f"Error: Expected `since` to be a revision of {Path.cwd()}, got {revision!r} (str)"
    )


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
    assert said == "Error: Expected `since` to find the program git, got: No such file or directory"


@pytest.mark.parametrize("failing", ["diff", "ls-files"])
@pytest.mark.parametrize(
    ("stderr", "words"), [(b"fatal: no room\nmore\n", "no room"), (b"", "exit code 3")]
)
def test_a_git_that_fails(monkeypatch, failing, stderr, words):
    run = changes._git

    def fail(folder, command, *arguments):
        if command == failing:
            return subprocess.CompletedProcess([], 3, b"", stderr)
        return run(folder, command, *arguments)

    repository(".", "a.py")
    monkeypatch.setattr(changes, "_git", fail)
    with pytest.raises(ArgumentValueError) as caught:
        found()
    said = f"Expected git to list the files of {Path.cwd()}, got an error: {words}"
    assert str(caught.value) == said


def test_stdin_has_no_revision(capsys):
    assert "Expected --since with files and folders" in refused(capsys, "--since", "HEAD", "-")


def test_a_path_that_does_not_exist_is_a_problem_as_without(capsys):
    repository(".", "a.py")
    assert main(["--since", "HEAD", "no.py"]) == 2
    assert "no.py: no such file or folder" in capsys.readouterr().err
    with pytest.raises(ArgumentValueError, match="to be a revision"):
        audit_paths(["."], since="no")


@pytest.mark.parametrize("revision", ["", "-", "--output=x", "a\0b"])
def test_what_cannot_be_a_revision_is_not_passed_to_git(revision, monkeypatch):
    monkeypatch.delattr(changes, "_git")
    assert changes._commit(".", revision) is None
