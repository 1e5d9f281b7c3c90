"""How the site is built: `make docs`, from these pages and from the docstrings.

MyST, because the pages are Markdown that is also read on a code host. Furo, because it is one
column of text next to a list of pages. Nothing is loaded from elsewhere, so that the site is read
without a network: formulas are MathML, which docutils makes of LaTeX when the site is built.

The pictures (`draw.py`) and the page of the notebook (by nbconvert) are made when the site is built
and are not committed. `tests/docs/test_pages.py` runs the code of the pages.
"""

from __future__ import annotations

import re
import sys
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

import torchdropout

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

project = "torchdropout"
author = project_copyright = "the torchdropout authors"
version = release = torchdropout.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nitpicky = True
# Types in signatures that are not evaluated: not every build of torch has process groups.
_ALIASES = ("Processes", "Shared", "BatchDims", "GivenRows")
_OF_MC = ("OnUnreached", "Patterns", "Selector", "Strategy", "Task")
nitpick_ignore = [("py:class", name) for name in (*_ALIASES, *_OF_MC)]

html_theme = "furo"
html_title = "torchdropout"
html_static_path = ["_static"]
html_favicon = "_static/mark.svg"
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_math_renderer = "mathml"

myst_heading_anchors = 4  # `#td501-output-shape`, as code hosts make them
myst_enable_extensions = ["dollarmath"]
myst_dmath_allow_space = False  # a dollar between spaces is a dollar

default_role = "code"  # docstrings say code in single backticks, as Markdown does
highlight_language = "text"  # of a block that names none: what a program prints
napoleon_numpy_docstring = False
napoleon_use_ivar = True
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# What only a compiled module of ours passes in place of a float is not for callers.
autodoc_type_aliases = {
    "Probability": "float",
    "Probabilities": "float | torch.Tensor",
}
autodoc_inherit_docstrings = False

# Where a name that a docstring or a signature mentions has its entry.
SHOWN_AS = {
    "torchdropout.random.Key": "torchdropout.Key",
    "torchdropout._core.contract.layout.MaskLayout": "torchdropout.MaskLayout",
}
ROOMS = (
    "torchdropout",
    "torchdropout.errors",
    "torchdropout.reporting.findings",
    "torchdropout.models.scope",
    "torchdropout.models.mc",
    "torchdropout.verify",
    "torchdropout.audit_model",
    "torchdropout_audit",
)


def find_entry(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Link a name to its entry, wherever in the package it is defined.

    Names of other packages are shown without a link, and so are this one's private names: linking
    them would need the inventories of those packages.
    """
    if node.get("refdomain") != "py":
        return None
    target: str = node["reftarget"]
    domain = env.domains.python_domain
    name = target.rsplit(".", 1)[-1]
    candidates = [SHOWN_AS.get(target, target), *(f"{room}.{name}" for room in ROOMS)]
    found = next((full for full in candidates if full in domain.objects), None)
    if found is not None and (target.startswith("torchdropout") or "." not in target):
        node["reftarget"] = found
        where: Any = node.get("refdoc")
        return domain.resolve_xref(env, where, app.builder, "obj", found, node, content)
    return content if _foreign(target) else None


def _foreign(target: str) -> bool:
    """A type of another package, or one whose name is not part of this one's API."""
    if target.startswith("torchdropout"):
        return any(part.startswith("_") for part in target.split("."))
    return "." in target or not target.isidentifier() or target in _PLAIN


_PLAIN = {"optional"}


def draw_pictures(app: Sphinx) -> None:
    """Draw what the pages show, before they are read."""
    import draw

    draw.site()


NOTEBOOK = DOCS.parent / "examples" / "dropout.ipynb"


def show_notebook(app: Sphinx) -> None:
    """Write docs/notebook.md: the notebook as it is stored, with its outputs."""
    import draw
    import nbformat
    from nbconvert import MarkdownExporter

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.metadata["language_info"] = {"name": "python"}
    place = {"output_files_dir": "plots", "unique_key": "notebook"}
    text, resources = MarkdownExporter().from_notebook_node(notebook, place)
    for name, data in resources["outputs"].items():
        draw.put(DOCS / name, data)
    # Each picture with the words that its cell has for it.
    words = iter([cell.metadata["alt"] for cell in notebook.cells if "alt" in cell.metadata])
    text = re.sub(r"!\[png\]", lambda _: f"![{next(words)}]", text)
    # The notebook's links lead from its own folder.
    draw.put(DOCS / "notebook.md", text.replace("](../docs/", "](").encode())


def inline_formula(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula in a line as MathML."""
    self.body.append(_mathml(node))
    raise nodes.SkipNode


def displayed_formula(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on its own lines as MathML."""
    self.body.append(f'<div class="math">{_mathml(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


# What docutils does not know, and what it knows of the same look.
_SAME = {r"\iff": r"\Longleftrightarrow", "{gathered}": "{aligned}"}


def _mathml(node: nodes.Element, as_block: bool = False) -> str:
    formula = node.astext().strip()
    for name, known in _SAME.items():
        formula = formula.replace(name, known)
    try:
        return tex2mathml(formula, as_block=as_block)
    except MathError as error:
        logging.getLogger(__name__).warning("%s", error, location=node)
        return f"<code>{escape(formula)}</code>"


def setup(app: Sphinx) -> None:
    """Connect the above; called by Sphinx."""
    app.add_html_math_renderer("mathml", (inline_formula, None), (displayed_formula, None))
    app.connect("builder-inited", draw_pictures)
    app.connect("builder-inited", show_notebook)
    app.connect("missing-reference", find_entry)
