"""The turns of a loop that differ from the others."""

import ast

import pytest

from torchdropout_audit.rules._turns import last_turns

BLOCKS = "\n    a\n    b\nelse:\n    c"


@pytest.mark.parametrize(
    ("text", "last", "others"),
    [
        (f"if i == n - 1:{BLOCKS}", [(2, 3)], [(5, 5)]),
        (f"if i != n - 1:{BLOCKS}", [(5, 5)], [(2, 3)]),
        (f"if i < n - 1:{BLOCKS}", [(5, 5)], [(2, 3)]),
        (f"x = 1\nif i == n - 1:{BLOCKS}", [(3, 4)], [(6, 6)]),
        ("if i != n - 1:\n    a", [], [(2, 2)]),
        ("if i == n - 1:\n    a", [(2, 2)], []),
        (f"if i > n - 1:{BLOCKS}", [], []),
        (f"if i == n + 1:{BLOCKS}", [], []),
        (f"if i == n:{BLOCKS}", [], []),
        (f"if self.i == n - 1:{BLOCKS}", [], []),
        (f"if i:{BLOCKS}", [], []),
        (f"while i == n - 1:{BLOCKS}", [], []),
    ],
)
def test_which_lines_run_in_the_last_turn(text, last, others):
    body = ast.parse(text).body
    assert list(last_turns(body)) == last
    assert list(last_turns(body, is_last=False)) == others
