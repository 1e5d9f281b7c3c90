"""A file in Python 2 is advice; a mistake in Python 3 stays an error."""

import pytest
from click.testing import CliRunner

from torchdropout_audit.command import audit
from torchdropout_audit.source import audit_text

HEAD = "import torch.nn.functional as F\n\nF.dropout(1, 0.0)\n"
OLD = [
    "print 'loss', F.dropout(x)",
    'if x:\n    print "a %d" % x',
    "if x: print x",
    "print x,",
    "exec code in scope",
    "try:\n    f()\nexcept IOError, e:\n    pass",
    "try:\n    f()\nexcept (IOError, OSError), error:\n    pass",
    "raise ValueError, 'no'",
    "raise nn.Error, 'no', trace",
    "x = `y`",
    "if x <> y:\n    pass",
    "os.chmod(f, 0755)",
    "n = 10L",
    "s = ur'x'",
    "def f(a, (b, c)):\n    return a",
    "sort(key=lambda (k, v): v)",
    "if x:\n        y = 1\n\tz = 2\nprint 'x'",
]
NEW = [
    "print('loss'",
    "def f(:",
    "x = = 1",
    "if x:\nprint(x)",
    "match x\n    case 1: pass",
    "f(a b)",
    "'print x",
    "x = 'a <> b' 1",
    "if x:\n        y = 1\n\tz = 2",
    "except IOError as e:",
    "raise ValueError from",
    "print(x) y",
]


@pytest.mark.parametrize("text", OLD)
def test_python_2_is_advice(text):
    (found,) = audit_text(HEAD + text + "\n")
    assert (found.name, found.severity) == ("syntax-error", "advice")
    assert found.message.startswith("Python 2, which is not audited: ")


@pytest.mark.parametrize("text", NEW)
def test_a_mistake_is_an_error(text):
    (found,) = audit_text(HEAD + text + "\n")
    assert (found.name, found.severity) == ("syntax-error", "error")
    assert "Python 2" not in found.message


def test_exit_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.py").write_text(HEAD + OLD[0])
    alone = CliRunner().invoke(audit, ["--no-cache", "old.py"], standalone_mode=False)
    assert (alone.return_value, alone.exception) == (0, None)
    assert "[advice]" in alone.output
    strict = CliRunner().invoke(audit, ["--no-cache", "--strict", "."], standalone_mode=False)
    assert strict.return_value == 1
    (tmp_path / "old.py").write_text(HEAD + NEW[0])
    wrong = CliRunner().invoke(audit, ["--no-cache", "."], standalone_mode=False)
    assert wrong.return_value == 2
