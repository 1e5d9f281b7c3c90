"""A file in Python 2 is advice; a mistake in Python 3 stays an error."""

import pytest

from torchdropout_audit.__main__ import main
from torchdropout_audit.source import audit_text

HEAD = "import torch.nn.functional as F\n\nF.dropout(1, 0.0)\n"
OLD = [
    *("print 'loss', F.dropout(x)", 'if x:\n    print "a %d" % x', "if x: print x", "print x,"),
    *("exec code in scope", "try:\n    f()\nexcept IOError, e:\n    pass"),
    *("try:\n    f()\nexcept (IOError, OSError), error:\n    pass", "raise ValueError, 'no'"),
    *("raise nn.Error, 'no', trace", "x = `y`", "if x <> y:\n    pass", "os.chmod(f, 0755)"),
    *("n = 10L", "s = ur'x'", "def f(a, (b, c)):\n    return a", "sort(key=lambda (k, v): v)"),
    *("if x:\n        y = 1\n\tz = 2", "x.cuda(async=True)", "async = True"),
    *("def f(x, async=False):\n    return x.cuda(async=async)", "x = x.async"),
]
NEW = [
    *("print('loss'", "def f(:", "x = = 1", "if x:\nprint(x)", "match x\n    case 1: pass"),
    *("f(a b)", "'print x", "x = 'a <> b' 1", "async def f(: pass", "except IOError as e:"),
    *("raise ValueError from", "print(x) y"),
    *("try:\n    f()\nexcept (IOError,\n        OSError), e:\n    pass", "if x:\nprint(y)\n  z"),
]


@pytest.mark.parametrize("text", OLD)
def test_python_2_is_advice(text):
    (found,) = audit_text(HEAD + text + "\n")
    assert (found.name, found.severity) == ("syntax-error", "advice")
    assert found.message.startswith("an older Python, which is not audited: ")


@pytest.mark.parametrize("text", NEW)
def test_a_mistake_is_an_error(text):
    (found,) = audit_text(HEAD + text + "\n")
    assert (found.name, found.severity) == ("syntax-error", "error")
    assert "older Python" not in found.message


BROKEN = {"a.py": "import torch.nn\ntorch.nn.Dropout(", "b.py": "# Dropout \xff"}


@pytest.mark.parametrize(
    "options",
    [
        ["--ignore", "syntax-error,unreadable"],
        ["--ignore", "TD001", "--ignore", "TD002"],
        ["--select", "TD101"],
        ["--ignore", "files"],
    ],
)
def test_what_does_not_parse_can_be_left_out(options, folder):
    for name, text in BROKEN.items():
        (folder / name).write_text(text, encoding="latin-1")
    assert main([*options, "."]) == 0


def test_and_by_a_setting_for_a_file(folder, capsys):
    (folder / "a.py").write_text(BROKEN["a.py"] + "  # torchdropout: ignore[p-one]\n")
    (folder / "b.py").write_text(BROKEN["a.py"])
    settings = '[tool.torchdropout.audit.per-file-ignores]\n"a.py" = ["TD001"]\n'
    (folder / "pyproject.toml").write_text(settings)
    assert main(["a.py"]) == 0
    assert "TD003" not in capsys.readouterr().out
    assert main(["."]) == 1
    assert "a.py" not in capsys.readouterr().out


def test_exit_code(folder, capsys):
    (folder / "old.py").write_text(HEAD + OLD[0])
    assert main(["old.py"]) == 0
    assert "[advice]" in capsys.readouterr().out
    assert main(["--strict", "."]) == 1
    (folder / "old.py").write_text(HEAD + NEW[0])
    assert main(["."]) == 2
