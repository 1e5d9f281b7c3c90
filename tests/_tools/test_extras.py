"""What a command needs, and how it is installed."""

import pytest

from torchdropout._tools.extras import missing, needs

OF_VERIFIER = "click, rich, scipy and numpy"


# What `audit` needs is in test_cli_audit.py.
@pytest.mark.parametrize(
    ("command", "packages"),
    [
        *((name, OF_VERIFIER) for name in ("verify", "compare", "checks")),
        *((name, "click and rich") for name in ("audit-model", "mc", "rules", "explain", "")),
        ("mc.plot", "matplotlib"),
    ],
)
def test_what_is_missing_is_named_with_how_to_install_it(command, packages):
    subject = "torchdropout.mc.plot" if command == "mc.plot" else f"torchdropout {command}".rstrip()
    names = packages.replace(",", "").replace(" and", "")
    assert missing(command) == f"{subject} needs {packages}: pip install {names}"
    assert command not in ("verify", "compare", "checks") or needs(command) == packages
