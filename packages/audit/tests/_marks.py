"""Sources with marks: a line that ends in `#!` is to be found, in `#?` as advice."""

import textwrap

from torchdropout_audit.fix import fix_all
from torchdropout_audit.source import audit_text

HEAD = """\
import torch
import torch.nn.functional as F
from torch import nn

"""


def marked(name, source, path="src/model.py"):
    """What a rule finds in a source, and what is marked in it: lines and severities."""
    text = HEAD + textwrap.dedent(source)
    marks = {"#!": "error", "#?": "advice"}
    expected = [
        (number, marks[line[-2:]])
        for number, line in enumerate(text.splitlines(), 1)
        if line[-2:] in marks
    ]
    return [(f.line, f.severity) for f in audit_text(text, path, {name})], expected


def fixed(name, source, unsafe=False):
    """A source after the fixes of a rule, and the findings that are left."""
    text = HEAD + textwrap.dedent(source)
    done = fix_all(text, lambda new: audit_text(new, "src/model.py", {name}), unsafe)
    compile(done.text, "mended", "exec")
    return done.text.removeprefix(HEAD), done.findings
