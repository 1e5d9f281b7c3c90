"""Each case of `docs/found.md`: the verifier finds it, and a snippet shows it without."""

import contextlib
import importlib
import io
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from peers.cases import FOUND, RIGHT
from peers.record import page
from torchdropout.verify import check_dropout

ROOT = Path(__file__).parents[2]


JUDGED = [case for case in FOUND if case.target]
SHOWN = [case for case in FOUND if case.snippet]


def _ids(cases):
    return [f"{case.title} {case.target.rpartition(':')[2]}".replace(" ", "-") for case in cases]


def _need(case):
    try:
        version(case.package)
    except PackageNotFoundError:
        pytest.skip(f"{case.package} is not installed")
    for module in case.modules:
        pytest.importorskip(module, exc_type=ImportError)


def _errors(case, monkeypatch, select):
    monkeypatch.chdir(ROOT)
    report = check_dropout(case.target, level="quick", spec=case.spec, select=select)
    return {f.name: f.message for f in report.findings if f.severity == "error"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", JUDGED, ids=_ids(JUDGED))
def test_found(case, monkeypatch):
    _need(case)
    assert set(_errors(case, monkeypatch, tuple(case.errors))) == case.errors


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", JUDGED, ids=_ids(JUDGED))
def test_nothing_else_is_found(case, monkeypatch):
    _need(case)
    assert _errors(case, monkeypatch, case.select).keys() == case.errors


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", SHOWN, ids=_ids(SHOWN))
def test_snippet_shows_it(case):
    _need(case)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(case.snippet, "<snippet>", "exec"), {"__name__": "snippet"})
    assert printed.getvalue() == case.shows


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", RIGHT, ids=_ids(RIGHT))
def test_right(case, monkeypatch):
    _need(case)
    if case.backend in ("", os.environ["KERAS_BACKEND"]):
        assert not _errors(case, monkeypatch, case.select)
        return
    command = [sys.executable, "-W", "ignore", "-m", "torchdropout", "verify", "--no-config"]
    done = subprocess.run(
        [*command, "--level", "quick", *case.options, case.target],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": case.backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_transformers_holds_43_copies():
    """What the page says of the number of copies: the same text under other names."""
    transformers = pytest.importorskip("transformers")
    models = Path(transformers.__file__).parent / "models"
    text = "random_tensor = torch.floor(random_tensor + keep_prob)"
    assert sum(text in path.read_text() for path in models.glob("*/modeling_*.py")) == 43


def test_the_page_is_what_its_script_makes():
    assert (ROOT / "docs" / "found.md").read_text() == page()


def test_targets_import_what_they_say():
    """The files are what the page tells people to run."""
    for case in (*JUDGED, *RIGHT):
        file = case.target.partition(":")[0]
        if file.endswith(".py"):
            assert (ROOT / file).is_file()
        else:
            assert importlib.util.find_spec(file.partition(".")[0]) or case.modules
