"""Renderers: each turns a `Report` into a string, and runs, reads or writes nothing."""

from .github import render_github as render_github
from .html import render_html as render_html
from .html import render_html_fragment as render_html_fragment
from .json import render_json as render_json
from .junit import render_junit as render_junit
from .text import render_text as render_text
