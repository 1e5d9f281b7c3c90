"""Sources that are broken and bent at random: nothing crashes, and what is fixed is Python."""

import ast
import json
import random
import re
import warnings
from collections import Counter
from keyword import iskeyword
from pathlib import Path

import pytest
import torch.nn

from _fixtures import FILES, cases
from torchdropout_audit.comments import suppress
from torchdropout_audit.files import Source
from torchdropout_audit.fix import fix_all, parses
from torchdropout_audit.notebooks import Notebook
from torchdropout_audit.registry import FINDERS, RULES
from torchdropout_audit.run import audit_data
from torchdropout_audit.source import audit_text

TOKEN = re.compile(r"\w+|[ \t]+|\r?\n|[^\w\s]|\s")
ODD = [
    *("\0", "\ufeff", "\r", "\x0c", "\u2028", "\ud800", "é", "\U0001f600", "'", '"""', "\\", "#"),
    *("# torchdropout: ignore", "# torchdropout: ignore[p-one, no-such]"),
    *("# torchdropout: ignore[", "# torchdropout: mc-dropout\n", "# torchdropout: ignore-file\n"),
    *("global x\n", "(", "]", ";", "lambda: ", "*", "**", "await ", "yield ", ":=", "->", "@"),
    *("if ", "else ", "for x in ", "\t"),
]
WORDS = [
    *("self", "training", "self.training", "p", "dropout", "F", "nn", "torch", "x", "None", "True"),
    *("False", "0", "0.0", "1", "1.0", "-1", "0.5", "2", "1e400", "1j", "b'a'", "'a'", "...", "[]"),
    *("forward", "__init__", "super()", "Dropout", "LSTM", "Sequential", "checkpoint", "keep_prob"),
    *("eval", "train", "inplace", "*args", "**kwargs", "nn.Module"),
    *("nn.Dropout(p)", "F.dropout(x)"),
]


def load():
    """The fixtures, the rules' examples, and pieces of torch's own modules."""
    texts = [file.text for path in FILES for case in cases(path) for file in case.files]
    for finder in FINDERS.values():
        texts += [finder.rule.broken, finder.rule.fixed]
    folder = Path(torch.nn.__file__).parent
    for name in ("activation", "dropout", "rnn", "transformer"):
        lines = (folder / "modules" / f"{name}.py").read_text().splitlines(keepends=True)
        texts += ["".join(lines[at : at + 60]) for at in range(0, len(lines), 60)]
    return texts


TEXTS = load()


def mutated(chance, text):
    """A text with a few changes."""
    tokens = TOKEN.findall(text)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        if not tokens:
            break
        at = chance.randrange(len(tokens))
        other = chance.randrange(len(tokens))
        match chance.randrange(15):
            case 0:
                del tokens[at : at + chance.choice((1, 1, 2, 5))]
            case 1:
                tokens.insert(other, tokens[at])
            case 2:
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 3:
                tokens.insert(at, chance.choice(ODD))
            case 4 | 5 | 9 | 10 | 11 | 12 | 13 | 14:  # a word for a word: most often it parses
                words = [i for i, t in enumerate(tokens) if t[0].isalnum() and not iskeyword(t)]
                if words:
                    tokens[chance.choice(words)] = chance.choice(
                        (*WORDS, tokens[chance.choice(words)])
                    )
            case 6:
                lines = [i for i, token in enumerate(tokens) if token == "\n"]
                if lines:
                    line = chance.choice(lines) + 1
                    tokens.insert(line, chance.choice((" ", "    ", "\t", "        ")))
            case 7:
                spaces = [i for i, token in enumerate(tokens) if token.isspace()]
                if spaces:
                    del tokens[chance.choice(spaces)]
            case 8:
                tokens[at:] = TOKEN.findall(chance.choice(TEXTS))[other:]
    end = chance.choice(("\n", "\n", "\n", "\r\n", "\r"))
    return "".join(tokens).replace("\n", end)


def audit(text):
    return suppress(audit_text(text, "f.py"), text, "f.py")


def check(text, counts):
    found = audit(text)
    counts["texts"] += 1
    is_python = parses(text)
    counts["python"] += is_python
    lines = len(re.split(r"\r\n|\r|\n", text))
    for finding in found:
        counts[finding.name] += 1
        assert RULES[finding.name].code == finding.code
        assert 1 <= finding.line <= finding.end_line <= lines
        assert finding.column >= 1
        assert (finding.end_line, finding.end_column) >= (finding.line, finding.column)
        assert "\n" not in finding.message
        for edit in finding.fix.edits if finding.fix else ():
            assert 0 <= edit.start <= edit.end <= len(text)
    for unsafe in (False, True):
        fixed, count = fix_all(text, audit, unsafe)
        counts["fixed"] += count
        if not count:
            assert fixed == text
            continue
        assert is_python
        assert parses(fixed)
        assert fix_all(fixed, audit, unsafe) == (fixed, 0)


def check_notebook(chance, text, counts):
    """The same text in cells, with what is IPython's between."""
    lines = text.split("\n")
    at = sorted(chance.sample(range(len(lines) + 1), min(3, len(lines))))
    cells = ["\n".join(lines[a:b]) for a, b in zip([0, *at], [*at, len(lines)], strict=True)]
    cells.insert(chance.randrange(len(cells)), "%%time\n!ls (\nx = %who\nhelp?")
    data = {"cells": [{"cell_type": "code", "outputs": ["é"], "source": c} for c in cells]}
    file = json.dumps(data, indent=chance.choice((None, 1)))
    notebook = Notebook(Source(file))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a mutation may hold `1else`
        ast.parse(notebook.text)
    assert notebook.fixed(notebook.text) == file
    before, _ = audit_data(file.encode(), "n.ipynb")
    after, new = audit_data(file.encode(), "n.ipynb", fix="unsafe")
    assert before.problems == after.problems == ()
    for finding in before.findings:
        assert 1 <= finding.line <= len(re.split(r"\r\n|\r|\n", cells[finding.cell - 1]))
    counts["cells fixed"] += after.fixed
    if not after.fixed:
        assert new == file.encode()
        return
    cells_now = json.loads(new)["cells"]
    assert len(cells_now) == len(cells)
    assert audit_data(new, "n.ipynb", fix="unsafe")[1] == new


def fuzz(seed, size):
    chance = random.Random(seed)
    counts = Counter()
    for _ in range(size):
        text = mutated(chance, chance.choice(TEXTS))
        try:
            check(text, counts)
            if chance.random() < 0.2:
                check_notebook(chance, text, counts)
        except BaseException:
            print(f"seed {seed}:\n{text!r}")
            raise
    return counts


@pytest.mark.integration
def test_a_few_sources_bent_at_random():
    counts = fuzz(seed=0, size=500)
    # Else nothing of all that was tried.
    assert counts["python"] > 90
    assert counts["fixed"] > 10


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(1, 21))
def test_100_000_sources_bent_at_random(seed):
    counts = fuzz(seed, size=5_000)
    print(dict(counts))
    assert counts["python"] > 900
    assert counts["fixed"] > 100
    assert counts["cells fixed"] > 10


@pytest.mark.integration
def test_the_sources_as_they_are():
    counts = Counter()
    for text in TEXTS:
        check(text, counts)
    for name in FINDERS:
        assert counts[name] > 0
