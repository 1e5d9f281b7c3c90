"""The peers' own tests of dropout, with ours in place of theirs.

Their files are in their repositories, not in their wheels: they are run where clones of those are,
in the folder that TORCHDROPOUT_PEERS names, or build/peers. Nothing of them is in this repository.
"""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from junitparser import JUnitXml

HERE = Path(__file__).parent
CLONES = Path(os.environ.get("TORCHDROPOUT_PEERS", HERE.parents[1] / "build" / "peers"))
RELEASE = torch.__version__.partition("+")[0]


def run(file, folder, *plugin):
    """The outcome of each test by its name, and how often ours were called."""
    report, called = folder / "report.xml", folder / "called"
    subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(*plugin, f"--junitxml={report}", f"--rootdir={folder}", str(file)),
        ],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
            "OURS_CALLED": str(called),
        },
        stdout=subprocess.DEVNULL,
        check=False,
    )
    outcomes = {
        case.name: case.result[0].__class__.__name__ if case.result else "Passed"
        for suite in JUnitXml.fromfile(str(report))
        for case in suite
    }
    return outcomes, int(called.read_text()) if plugin else 0


# What ours does not offer: noise in dropped blocks, and blocks without a scale.
TIMM_LACKING = {
    "test_drop_block_2d_approximate_keep_ratio",
    "test_drop_block_2d_with_noise",
    "test_drop_block_2d_scale_by_keep",
}


@pytest.mark.parametrize(
    ("repository", "tag", "file", "modules", "lacking"),
    [
        (
            "pytorch/pytorch",
            f"v{RELEASE}",
            "test/nn/test_dropout.py",
            ("expecttest", "numpy"),
            set(),
        ),
        (
            "huggingface/pytorch-image-models",
            "main",
            "tests/test_layers_drop.py",
            ("timm",),
            TIMM_LACKING,
        ),
        pytest.param(
            "lucidrains/x-transformers",
            "main",
            "tests/test_x_transformers.py",
            ("x_transformers",),
            set(),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["torch", "timm", "x-transformers"],
)
def test_with_ours_in_place(repository, tag, file, modules, lacking, tmp_path):
    name = repository.rpartition("/")[2]
    path = CLONES / name / file
    if not path.exists():
        pytest.skip(
            f"{path} is missing: git clone --depth 1 --branch {tag} "
            f"https://github.com/{repository} {CLONES / name}"
        )
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError:
            pytest.skip(f"{name}'s tests need {module}: pip install {module}")
    ours, calls = run(path, tmp_path, "-p", "in_place")
    failed = {test for test, outcome in ours.items() if outcome in ("Failure", "Error")}
    if failed - lacking:  # perhaps with theirs, too
        theirs, _ = run(path, tmp_path)
        failed -= {test for test, outcome in theirs.items() if outcome in ("Failure", "Error")}
    assert "Passed" in ours.values()
    assert calls > 0
    assert failed == lacking
