"""What setup.py says of a compilation that fails."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[1] / "setup.py"
PARTS = ("CompilerError", "run_command")


@pytest.fixture(scope="module")
def parts():
    """The two definitions, without the call of `setup` behind them."""
    found = {"os": os, "re": re, "subprocess": subprocess, "Path": Path}
    for node in ast.parse(SETUP.read_text()).body:
        if getattr(node, "name", None) in PARTS:
            exec(compile(ast.Module([node], []), str(SETUP), "exec"), found)
    return found


WORDS = """In file included from csrc/module.cpp:13:
csrc/glue.h:9:1: warning: this one is no reason
csrc/module.cpp:346:3: error: 'MACRO' was not declared in this scope
csrc/module.cpp:400:3: error: another
"""
UNDEFINED = """/usr/bin/ld: module.o: in function `draw()':
module.cpp:(.text+0x1): undefined reference to `torch_call'
collect2: error: ld returned 1 exit status
"""


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (WORDS, "csrc/module.cpp:346:3: error: 'MACRO' was not declared in this scope"),
        (UNDEFINED, "module.cpp:(.text+0x1): undefined reference to `torch_call'"),
        ("Killed\n", "Killed"),
        ("", "it said nothing"),
    ],
)
def test_the_first_error_is_told_and_all_words_are_kept(parts, words, first):
    error = parts["CompilerError"](["/usr/bin/g++", "-c", "module.cpp"], words)
    assert str(error) == f"g++ said: {first}"
    assert error.said == f"/usr/bin/g++ -c module.cpp\n{words}"


def test_a_command_that_fails(parts, capfd):
    code = "import sys; print('out'); print('x.cpp:1:2: error: no', file=sys.stderr); sys.exit(3)"
    with pytest.raises(parts["CompilerError"], match=r" said: x.cpp:1:2: error: no$") as raised:
        parts["run_command"]([sys.executable, "-c", code])
    assert raised.value.said.endswith("x.cpp:1:2: error: no\nout\n")
    assert "x.cpp:1:2: error: no" in capfd.readouterr().out
