"""The arguments and defaults that users rely on do not change by accident."""

from pathlib import Path

import signatures


def test_the_interface_is_the_one_that_is_written_down():
    known = Path(signatures.__file__).with_suffix(".txt").read_text().splitlines()
    found = [*signatures.lines()]
    assert sorted(set(known) ^ set(found)) == [], "make checks"
    assert len(found) > 200
