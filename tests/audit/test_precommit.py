"""The hooks that pre-commit reads, in a repository of their own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from torchdropout import cli

pytest.importorskip("pre_commit")
if shutil.which("git") is None:
    pytest.skip("needs git", allow_module_level=True)

ROOT = Path(__file__).parents[2]
SOURCE = str(Path(cli.__file__).parents[2])
BAD = """\
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.1)
"""


@pytest.fixture
def environment(tmp_path):
    """Git and pre-commit without the settings of who runs the tests, and `torchdropout`."""
    home, binaries = tmp_path / "home", tmp_path / "bin"
    home.mkdir()
    binaries.mkdir()
    command = binaries / "torchdropout"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m torchdropout "$@"\n')
    command.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PRE_COMMIT"))}
    return kept | {
        "HOME": str(home),
        "PATH": f"{binaries}{os.pathsep}{kept['PATH']}",
        "PYTHONPATH": SOURCE,
        "PRE_COMMIT_HOME": str(home / "pre-commit"),
        "TORCHDROPOUT_CACHE": str(home / "cache"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
    }  # fmt: skip


@pytest.fixture
def run(environment):
    def call(*command, cwd):
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)

    return call


@pytest.fixture
def hook(run, tmp_path):
    """Runs a hook, from a repository with nothing but the hooks, in a scratch repository."""
    hooks, scratch = tmp_path / "hooks", tmp_path / "scratch"
    for folder in (hooks, scratch):
        folder.mkdir()
        assert run("git", "init", "-q", cwd=folder).returncode == 0
    shutil.copy(ROOT / ".pre-commit-hooks.yaml", hooks)
    run("git", "add", ".", cwd=hooks)
    assert run("git", "commit", "-q", "-m", "hooks", cwd=hooks).returncode == 0
    head = run("git", "rev-parse", "HEAD", cwd=hooks).stdout.strip()

    def call(name, **files):
        for stem, text in files.items():
            (scratch / f"{stem}.py").write_text(text)
        (scratch / ".pre-commit-config.yaml").write_text(
            f"repos:\n- repo: {hooks}\n  rev: {head}\n  hooks:\n  - id: {name}\n"
        )
        run("git", "add", ".", cwd=scratch)
        done = run(sys.executable, "-m", "pre_commit", "run", "--all-files", cwd=scratch)
        return done.returncode, done.stdout, scratch

    return call


def test_the_manifest_is_valid(run, tmp_path):
    manifest = str(ROOT / ".pre-commit-hooks.yaml")
    done = run(sys.executable, "-m", "pre_commit", "validate-manifest", manifest, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_audit_stops_a_commit(hook):
    code, said, scratch = hook("torchdropout-audit", a=BAD, b="x = 1\n")
    assert code == 1
    assert "a.py:7:16  TD101 functional-always-on" in said
    assert "1 error in 2 files" in said
    assert (scratch / "a.py").read_text() == BAD
    assert hook("torchdropout-audit", a="x = 1\n")[0] == 0


def test_the_fix_mends_and_says_so(hook):
    code, said, scratch = hook("torchdropout-fix", a=BAD)
    assert code == 1  # files were modified by this hook
    assert "1 mended" in said
    assert "training=self.training" in (scratch / "a.py").read_text()
    assert hook("torchdropout-fix")[0] == 0
