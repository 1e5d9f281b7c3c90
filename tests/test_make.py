"""Targets of the Makefile that nothing else runs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there the tests would run")
def test_the_tests_of_a_gpu_are_collected_from_sources_without_kernels(tmp_path):
    compiled = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info")
    for name in ("src", "packages/audit/src", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=compiled)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    # Not the variables of a make that runs this test.
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "gpu", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " skipped" in done.stdout.splitlines()[-1]
