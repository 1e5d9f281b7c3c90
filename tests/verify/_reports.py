"""Reports that no run would give, for the tests of the renderers."""

import dataclasses
import math

from torchdropout.reporting.findings import Rule
from torchdropout.verify.results import CheckResult, Report, Selection, TargetReport

HOSTILE = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)><!-- </style></title>",
    "attribute": '" onload="alert(1)" \' x=\'y',
    "entities": "&amp; &#0; &lt;b&gt; %s {0} $x",
    "controls": "a\x00b\x07c\x1b[31md\x7fe\x85f\x0cg\u2028h\rend",
    "cdata": "]]> <![CDATA[ <?xml?> --> ]]>",
    "surrogate": "lone \ud800 and \udfff, \ufffe, \uffff",
    "emoji": "\N{GAME DIE} \N{WOMAN}\u200d\N{MICROSCOPE} \u202ereversed",
    "commands": "x::y\n::error file=a,line=1::b\r\n::set-output name=x::y %0A%25,:",
    "long": "wwwwwwwwww" * 2_000,
}


def rule(name="drop-rate", group="rate", severity="error", code="TD521", **more):
    explain = "Measured: `a call`.\n\nIt matters\na lot.\n\n    code = 1 < 2\n\nTo fix: fix it."
    return Rule(code, name, group, severity, f"The summary of {name}.", explain, **more)


def check(status="fail", message="what was seen", figures=None, sees="", **of_rule):
    return CheckResult(rule(**of_rule), status, message, figures or {}, sees, 0.25)


OK = check("ok", "y is x", name="eval-identity", group="mode", code="TD502")
SEES = check("ok", "0.1 dropped   p-value 0.4", {"p_value": 0.4}, "an error of 0.0012")
SKIP = check("skip", "not checked", name="mode-switch", group="mode", code="TD504")
ERROR = check(message="4096 are NaN", name="p-one-zeros", group="edges", code="TD552")
ADVICE = check(
    message="p=1.5 accepted", name="wrong-p-named", group="construction", severity="advice",
    code="TD602",
)  # fmt: skip
MODE = Selection(("mode",), ("TD504",), 1, 57)
EVERY = (OK, SKIP, SEES, ADVICE, ERROR)


def target(*checks, name="drops.py:Drop", **more):
    built = "module class, built as Drop(p=p)"
    return TargetReport(name, built, "quick", 7, 1e-6, checks, **{"seconds": 11.42, **more})


def saying(text):
    """A report in which the target has had its word wherever it can."""
    figures = {text: text, "worst": [{text: text, "n": 1}], "more": {text: [text]}}
    checks = (
        check(message=text, figures=figures, sees=text),
        check("ok", text, figures, text, name="position-rate", code="TD522"),
        check("skip", text, name="few-masks", code="TD531"),
    )
    one = target(*checks, name=text, file=text, line=3)
    one = dataclasses.replace(one, description=text)
    return Report((one, dataclasses.replace(one, interrupted=True)))


def grid(size, dropped):
    """A mask with 0 where `dropped(row, column)`."""
    return ["".join("01"[not dropped(r, c)] for c in range(size)) for r in range(size)]


def rates(**error):
    rows = []
    for p in (0.001, 0.1, 0.5, 0.999):
        half = 6 * math.sqrt(p * (1 - p) / 1e6)
        rate = p + error.get(f"p{p}", half / 9)
        rows.append({"p": p, "expected": p, "rate": rate, "n": 10**6,
                     "low": rate - half, "high": rate + half})  # fmt: skip
    return {"rates": rows}


def places(**wrong):
    values = [0.5 + 0.001 * math.sin(i) for i in range(256)]
    for place, rate in wrong.items():
        values[int(place[1:])] = rate
    return {"places": values, "expected": 0.5, "limit": 0.002}


def lags(**wrong):
    values = (1, 2, 3, 4, 5, 7, *(1 << k for k in range(3, 20)))
    return {
        "lags": [
            {"lag": lag, "correlation": wrong.get(f"l{lag}", 0.001 * math.cos(lag)), "limit": 0.003}
            for lag in values
        ]
    }


def masks(*differ):
    forward = grid(16, lambda r, c: (r * 7 + c * 5) % 3 == 0)
    gradient = [list(line) for line in forward]
    for row, column in differ:
        gradient[row][column] = "10"[int(gradient[row][column])]
    return {"picture": {"forward": forward, "gradient": ["".join(line) for line in gradient]}}


MASK = {"mask": grid(32, lambda r, c: (r + c) % 2 == 0), "p": 0.5}
PICTURED = (
    check("ok", figures=MASK, name="train-stochastic", group="mode", code="TD503"),
    check("fail", figures=rates(**{"p0.1": 0.005}), sees="an error of 0.001"),
    check("fail", figures=places(_255=0.52), name="position-rate", code="TD522"),
    check("ok", figures=lags(), name="lag-independence", group="independence", code="TD533"),
    check("fail", figures=masks((3, 4), (9, 9)), name="grad-mask", group="gradient", code="TD541"),
)
