"""What the audit finds in packages that are installed is what was labelled, and what is shown."""

import contextlib
import csv
import importlib
import io
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

from peers.audit_cases import SOURCES
from torchdropout_audit.run import audit_paths

ROOT = Path(__file__).parents[2]
LABELS = []
for name in ("labels.csv", "newer.csv"):
    with (ROOT / "docs" / "audit" / name).open(newline="", encoding="utf-8") as file:
        LABELS += csv.DictReader(file)

# Packages whose installed files are those of their wheels, and the folder that holds them.
INSTALLED = {
    "timm": "timm",
    "torchvision": "torchvision",
    "transformers": "transformers",
    "fastai": "fastai",
    "x_transformers": "x_transformers",
}


def installed(name):
    """The distribution, or a skip."""
    try:
        return distribution(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")


@pytest.mark.parametrize("package", INSTALLED)
def test_labels(package):
    found = installed(package)
    with (ROOT / "docs" / "audit" / "packages.csv").open(newline="", encoding="utf-8") as file:
        labelled = {(row["package"], row["version"]) for row in csv.DictReader(file)}
    if (package, found.version) not in labelled:
        pytest.skip(f"{package} {found.version} is not the version that was labelled")
    site = Path(str(found.locate_file("")))
    report = audit_paths([site / INSTALLED[package]], cache=False)
    assert {
        (str(Path(f.path).relative_to(site)), f.line, f.name, f.severity) for f in report.findings
    } == {
        (row["path"], int(row["line"]), row["rule"], row["severity"])
        for row in LABELS
        if (row["package"], row["version"]) == (package, found.version) and not row.get("fixed")
    }


@pytest.mark.parametrize("case", SOURCES, ids=lambda case: case.title.replace(" ", "-"))
def test_found(case):
    site = installed(case.package)
    report = audit_paths([site.locate_file(path) for path in case.paths], cache=False)
    assert {finding.name for finding in report.findings} == case.found
    assert {Path(finding.path) for finding in report.findings} == {
        Path(str(site.locate_file(path))) for path in case.paths
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", SOURCES, ids=lambda case: case.title.replace(" ", "-"))
def test_snippet_shows_it(case, monkeypatch):
    installed(case.package)
    pytest.importorskip(case.module, exc_type=ImportError)
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "found"))
    importlib.invalidate_caches()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(case.snippet, "<snippet>", "exec"), {"__name__": "snippet"})
    assert printed.getvalue() == case.shows


def test_all_that_is_shown_is_labelled_true():
    true = {(row["path"], row["rule"]) for row in LABELS if row["verdict"] == "true"}
    for case in SOURCES:
        for path in case.paths:
            assert any((path, rule) in true for rule in case.found)
