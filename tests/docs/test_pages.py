"""The code of the pages runs, and prints what a page says that it prints."""

import contextlib
import inspect
import io
import re
from pathlib import Path

import pytest
import torch

from torchdropout import functional

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [
    *(DOCS / f"{name}.md" for name in ("index", "getting-started", "which", "mc", "scale")),
    *sorted((DOCS / "family").glob("*.md")),
    *sorted((DOCS / "recipes").glob("*.md")),
]
# A block with this comment before it is shown and not run.
NOT_RUN = re.compile(r"<!-- not run: .+ -->\s*\Z")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def steps(text):
    """The blocks to run, each with the line where it begins and what it is said to print."""
    fences = list(FENCE.finditer(text))
    found = []
    for place, fence in enumerate(fences):
        if fence[1] != "python" or NOT_RUN.search(text[: fence.start()]):
            continue
        following = fences[place + 1] if place + 1 < len(fences) else None
        said = None
        if following is not None and following[1] == "":
            between = text[fence.end() : following.start()]
            said = following[2] if not between.strip() else None
        found.append((text.count("\n", 0, fence.start()) + 1, fence[2], said))
    return found


def run(text, name="page"):
    """Run a page's blocks in order, in one namespace; the outputs must be what the page says."""
    world = {"__name__": "__main__"}
    for line, block, said in steps(text):
        # It has as many lines before it as on the page, for the traceback.
        code = compile("\n" * line + block, name, "exec")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, world)
        if said is not None or printed.getvalue():
            assert printed.getvalue() == said, f"{name}, line {line}"
    return world


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_the_code_of_a_page_runs(page, monkeypatch):
    monkeypatch.chdir(DOCS.parent)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    try:
        run(page.read_text(encoding="utf-8"), str(page))
    finally:
        torch.set_rng_state(state)
        torch._dynamo.reset()


def test_each_variant_page_has_code_that_runs():
    variants = set((DOCS / "family").glob("*.md"))
    variants -= {DOCS / f"family/{name}.md" for name in ("index", "peers")}
    assert len(variants) > 20
    assert [page.stem for page in variants if not steps(page.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```python\nprint(1)\n```\n\n```\n2\n```\n", AssertionError),
        ("```python\nprint(1)\n```\n", AssertionError),
        ("```python\n1\n```\n\n```\n2\n```\n", AssertionError),
        ("```python\nx = 1\n```\n\n```python\nassert x == 2\n```\n", AssertionError),
        ("```python\nimport warnings\nwarnings.warn('old')\n```\n", UserWarning),
        ("```python\nno such thing\n```\n", SyntaxError),
    ],
)
def test_what_runs_a_page_sees_its_faults(text, fault):
    with pytest.raises(fault):
        run(text)


def test_what_a_page_only_shows_is_not_run():
    text = "```python\nx = 1\n```\n\n<!-- not run: takes a day -->\n```python\nx = 2\n```\n"
    assert run(text)["x"] == 1
    assert run("```console\n$ rm\n```\n\n```\nno output\n```\n")


def test_the_page_about_gpus_names_each_function():
    """It says what computes it there."""
    functions = [name for name, _ in inspect.getmembers(functional, inspect.isfunction)]
    text = (DOCS / "gpu.md").read_text(encoding="utf-8")
    assert len(functions) > 25
    assert [name for name in functions if f"`{name}`" not in text] == [], "docs/gpu.md"
