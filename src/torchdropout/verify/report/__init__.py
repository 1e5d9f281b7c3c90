"""Renderers: a `Report` or `Rule`s in, a string out; nothing is run, read or written here."""

from .json import render_json as render_json
from .json import render_rules_json as render_rules_json
from .text import render_rule as render_rule
from .text import render_rules as render_rules
from .text import render_text as render_text
