"""Renderers: each turns a `SourceReport` into a string, and reads and writes nothing."""

from .diff import render_diff as render_diff
from .github import render_github as render_github
from .json import render_json as render_json
from .sarif import render_sarif as render_sarif
from .text import render_text as render_text
