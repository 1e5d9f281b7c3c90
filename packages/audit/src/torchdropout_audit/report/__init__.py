"""Renderers: each turns a `SourceReport` into a string, and reads and writes nothing."""

from .diff import render_diff as render_diff
from .github import render_github as render_github
from .json import render_json as render_json
from .sarif import render_sarif as render_sarif
from .statistics import render_statistics as render_statistics
from .statistics import render_statistics_json as render_statistics_json
from .text import render_text as render_text
