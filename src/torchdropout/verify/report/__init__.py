"""Renderers: a `Report` or `Rule`s in, a string out; nothing is run, read or written here."""

from .github import render_github as render_github
from .html import render_html as render_html
from .html import render_html_fragment as render_html_fragment
from .json import render_json as render_json
from .json import render_rules_json as render_rules_json
from .junit import render_junit as render_junit
from .text import render_rule as render_rule
from .text import render_rules as render_rules
from .text import render_text as render_text
