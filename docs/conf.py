"""How the site is built: `make docs`, from these pages and from the docstrings.

MyST, because the pages are Markdown that is also read on a code host. Furo, because it is one
column of text with a list of pages beside it and loads nothing from elsewhere: the site is read
without a network. No gallery extension: the pictures are made by `pictures.py`, which the tests
hold to what the library makes, and the code of a page is run by `tests/docs/test_pages.py`.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import torchdropout

project = "torchdropout"
author = project_copyright = "the torchdropout authors"
version = release = torchdropout.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nitpicky = True

html_theme = "furo"
html_title = "torchdropout"
html_static_path = ["_static"]
html_favicon = "_static/mark.svg"
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

myst_heading_anchors = 4  # `#td501-output-shape`, as code hosts make them

default_role = "code"  # docstrings say code in single backticks, as Markdown does
napoleon_numpy_docstring = False
napoleon_use_ivar = True
toc_object_entries_show_parents = "hide"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
# What only a compiled module of ours passes in place of a float is not for callers.
autodoc_type_aliases = {"Probability": "float", "Strength": "float"}
autodoc_inherit_docstrings = False

# Where a name that a docstring or a signature mentions has its entry.
SHOWN_AS = {
    "torchdropout.random.Key": "torchdropout.Key",
    "torchdropout.contract.layout.MaskLayout": "torchdropout.MaskLayout",
}


def find_entry(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Link a name to its entry, wherever in the package it is defined.

    Names of other packages are shown without a link, and so are the private ones of this: an
    inventory of theirs would have to be loaded.
    """
    if node.get("refdomain") != "py":
        return None
    target: str = node["reftarget"]
    domain = env.domains.python_domain
    name = target.rsplit(".", 1)[-1]
    rooms = ("torchdropout", "torchdropout.errors", "torchdropout.findings", "torchdropout.verify")
    candidates = [SHOWN_AS.get(target, target), *(f"{room}.{name}" for room in rooms)]
    found = next((full for full in candidates if full in domain.objects), None)
    if found is not None and (target.startswith("torchdropout") or "." not in target):
        node["reftarget"] = found
        where: Any = node.get("refdoc")
        return domain.resolve_xref(env, where, app.builder, "obj", found, node, content)
    return content if _foreign(target) else None


def _foreign(target: str) -> bool:
    """A type of another package, or one whose name is not part of this one's API."""
    if target.startswith("torchdropout."):
        return any(part.startswith("_") for part in target.split("."))
    return "." in target or not target.isidentifier() or target in _PLAIN


_PLAIN = {"optional"}


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("missing-reference", find_entry)
