"""What was found in packages and read by hand, and what the page says of it."""

import csv
import importlib.util
from collections import Counter
from pathlib import Path

import pytest
from scipy.stats import binom

from torchdropout_audit.registry import FINDERS

DOCS = Path(__file__).parents[3] / "docs"
with (DOCS / "audit" / "labels.csv").open(newline="", encoding="utf-8") as file:
    LABELS = list(csv.DictReader(file))
KINDS = ("error", "advice")
ERRORS = [row for row in LABELS if row["severity"] == "error"]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_precision", DOCS / "make_precision.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def precision(rows):
    return sum(row["verdict"] == "true" for row in rows) / len(rows)


def check(row):
    assert None not in row.values()
    assert row["rule"] in FINDERS
    assert row["severity"] == "advice" or FINDERS[row["rule"]].rule.severity == "error"
    assert row["severity"] in KINDS
    assert row["verdict"] in ("true", "false")
    assert row["why"]
    assert int(row["line"]) > 0


def test_labels_are_well_formed():
    for row in LABELS:
        check(row)
        assert row["seen"] in ("known", "fresh")
        assert row["fixed"] in ("", "yes")
        assert row["package"]
        assert row["version"]
        assert row["path"].endswith((".py", ".ipynb"))
    places = Counter((r["package"], r["version"], r["path"], r["line"], r["rule"]) for r in LABELS)
    assert max(places.values()) == 1
    # What is true is not fixed away.
    assert all(row["verdict"] == "false" for row in LABELS if row["fixed"])


def test_errors_are_right_as_promised():
    now = [row for row in ERRORS if not row["fixed"]]
    assert len(now) >= 30
    assert precision(now) >= 0.95
    for name in {row["rule"] for row in now}:
        assert precision([row for row in now if row["rule"] == name]) >= 0.9


def test_the_labels_are_of_what_the_packages_have(script):
    """The benchmark counted, in all packages, as many errors and advices as are labelled."""
    counted = Counter()
    for row in script.read("packages"):
        assert row["problems"] == "0"
        for kind in ("errors", "advice"):
            counted[row["package"], row["version"], kind] = int(row[kind])
    kinds = {"error": "errors", "advice": "advice"}
    labelled = Counter(
        (row["package"], row["version"], kinds[row["severity"]])
        for row in LABELS
        if not row["fixed"]
    )
    assert +counted == labelled


def test_newer_labels_are_of_the_same_packages(script):
    names = {(row["package"], row["version"]) for row in script.read("packages")}
    newer = script.read("newer")
    for row in newer:
        check(row)
        assert (row["package"], row["version"]) in names
    names = ("package", "version", "path", "line", "rule")
    places, known = ({tuple(row[n] for n in names) for row in rows} for rows in (newer, LABELS))
    assert not places & known
    assert precision(newer) >= 0.85


def test_the_page_is_what_its_script_makes(script):
    assert (DOCS / "audit" / "precision.md").read_text(encoding="utf-8") == script.page()


def test_packages_seen_late_are_packages(script):
    names = {f"{row['package']}-{row['version']}" for row in script.read("packages")}
    assert names >= script.FRESH
    for row in LABELS:
        assert (row["seen"] == "fresh") == (f"{row['package']}-{row['version']}" in script.FRESH)


def test_the_bound_is_that_of_clopper_and_pearson(script):
    # At the bound, so many or more are true in one of twenty cases.
    for true, total in ((36, 38), (19, 20), (1, 1), (7, 7)):
        bound = script.bound(true, total)
        assert binom.sf(true - 1, total, bound) == pytest.approx(0.05)
    assert script.bound(0, 3) == 0


def test_labels_of_packages_that_no_rule_had_seen(script):
    labels, packages = script.read("later"), script.read("later-packages")
    names = {(row["package"], row["version"]) for row in packages}
    assert len(names) == len(packages)
    assert min(Counter(row["set"] for row in packages).values()) >= 30
    assert names.isdisjoint((row["package"], row["version"]) for row in script.read("packages"))
    sets = {(row["set"], row["package"], row["version"]) for row in packages}
    for row in labels:
        check(row)
        assert (row["set"], row["package"], row["version"]) in sets
    places = Counter((r["package"], r["path"], r["line"], r["rule"]) for r in labels)
    assert max(places.values()) == 1


def test_the_interval_is_that_of_clopper_and_pearson(script):
    for true, total in ((9, 14), (2, 3), (1, 30)):
        low, high = script.interval(true, total)
        assert binom.sf(true - 1, total, low) == pytest.approx(0.025)
        assert binom.cdf(true, total, high) == pytest.approx(0.025)
    assert script.interval(2, 2)[1] == 1
    assert script.interval(0, 2)[0] == 0


def test_the_page_of_recall_counts_its_table():
    with (DOCS / "audit" / "recall.csv").open(newline="", encoding="utf-8") as file:
        places = list(csv.DictReader(file))
    page = (DOCS / "audit" / "recall.md").read_text(encoding="utf-8")

    def count(name, rows):
        found = sum(bool(row["found"]) for row in rows)
        assert all(bool(row["found"]) != bool(row["missed"]) for row in rows)
        return name, len(rows), found

    for number in map(str, range(1, 14)):
        of = [row for row in places if row["set"] == number]
        _, n, found = count("all", of)
        assert f"| {number} | {n} | {found} | {found / n:.2f} |" in page
        counted = (count(kind, [r for r in of if r["severity"] == kind]) for kind in KINDS)
        assert " | ".join(f"{found} of {n}" for _, n, found in counted) in page
    assert {row["rule"] for row in places if int(row["set"]) >= 5} <= set(FINDERS)
