"""The hooks for pre-commit, each in a scratch repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import torchdropout_audit
from _sources import copy_sources
from _texts import BAD

pytest.importorskip("pre_commit")
if shutil.which("git") is None:
    pytest.skip("needs git", allow_module_level=True)

ROOT = Path(__file__).parents[3]
SOURCE = str(Path(torchdropout_audit.__file__).parents[1])
PAGE = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")


@pytest.fixture
def environment(tmp_path):
    """Git and pre-commit without the settings of this machine, and `torchdropout-audit`."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    command = binaries / "torchdropout-audit"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m torchdropout_audit "$@"\n')
    command.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PRE_COMMIT"))}
    return kept | {
        "PATH": f"{binaries}{os.pathsep}{kept['PATH']}",
        "PYTHONPATH": SOURCE,
        "PRE_COMMIT_HOME": str(tmp_path / "pre-commit"),
        "TORCHDROPOUT_CACHE": str(tmp_path / "cache"),
        "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
    }  # fmt: skip


@pytest.fixture
def run(environment):
    def call(*command, cwd, **changed):
        return subprocess.run(
            command, cwd=cwd, env=environment | changed, capture_output=True, text=True, check=False
        )

    return call


@pytest.fixture
def repository(run, tmp_path):
    """Makes a folder a repository with one commit; returns the commit."""

    def make(folder):
        folder.mkdir(exist_ok=True)
        for command in (["init", "-q"], ["add", "."], ["commit", "-q", "--allow-empty", "-m", "m"]):
            done = run("git", *command, cwd=folder)
            assert done.returncode == 0, done.stderr
        return run("git", "rev-parse", "HEAD", cwd=folder).stdout.strip()

    return make


@pytest.fixture
def commit(run, repository, tmp_path):
    """Runs the hooks of a configuration on files in a scratch repository."""
    scratch = tmp_path / "scratch"
    repository(scratch)

    def call(config, _changed=(), **files):
        for stem, text in files.items():
            (scratch / f"{stem}.py").write_text(text)
        (scratch / ".pre-commit-config.yaml").write_text(config)
        run("git", "add", ".", cwd=scratch)
        command = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
        done = run(*command, cwd=scratch, **dict(_changed))
        return done.returncode, done.stdout, scratch

    return call


@pytest.fixture
def hook(commit, repository, tmp_path):
    """Runs a hook that the repository offers, from a repository with nothing but the hooks."""
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    shutil.copy(ROOT / ".pre-commit-hooks.yaml", hooks)
    head = repository(hooks)

    def call(name, **files):
        config = f"repos:\n- repo: {hooks}\n  rev: {head}\n  hooks:\n  - id: {name}\n"
        return commit(config, **files)

    return call


def test_the_manifest_is_valid(run, tmp_path):
    manifest = str(ROOT / ".pre-commit-hooks.yaml")
    done = run(sys.executable, "-m", "pre_commit", "validate-manifest", manifest, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.integration
def test_the_audit_stops_a_commit(hook):
    code, said, scratch = hook("torchdropout-audit", a=BAD, b="x = 1\n")
    assert code == 1
    assert "a.py:7:16  TD101 functional-always-on" in said
    assert "1 error in 2 files" in said
    assert (scratch / "a.py").read_text() == BAD
    assert hook("torchdropout-audit", a="x = 1\n")[0] == 0


@pytest.mark.integration
def test_the_fix_changes_files_and_says_so(hook):
    code, said, scratch = hook("torchdropout-fix", a=BAD)
    assert code == 1  # files were modified by this hook
    assert "1 fixed" in said
    assert "training=self.training" in (scratch / "a.py").read_text()
    assert hook("torchdropout-fix")[0] == 0


@pytest.mark.slow
def test_a_hook_that_installs_the_audit_and_no_torch(commit, repository, tmp_path):
    """The configuration of docs/audit.md, with a repository on this machine."""
    clone = tmp_path / "clone"
    copy_sources(clone)
    head = repository(clone)
    [config] = (
        text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.S) if "repo: local" in text
    )
    here = clone.as_uri().replace("file:///", "file://localhost/")  # as `NAME @ URL` requires
    config = config.replace("https://github.com/OWNER/torchdropout", here)
    config = config.replace("REVISION", head)
    alone = {"PATH": os.environ["PATH"], "PYTHONPATH": ""}
    code, said, _ = commit(config, alone, a=BAD, b="x = 1\n")
    assert code == 1, said
    assert "a.py:7:16  TD101 functional-always-on" in said
    code, said, _ = commit(config, alone, a="x = 1\n")
    assert code == 0, said
    packages = {p.name.lower() for p in tmp_path.glob("pre-commit/**/site-packages/*")}
    assert "torchdropout_audit" in packages
    assert not {"torch", "numpy"} & packages
