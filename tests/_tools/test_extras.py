"""What a command needs, and how it is installed."""

import pytest

from torchdropout._tools.extras import missing, needs


@pytest.mark.parametrize("command", ["verify", "compare", "checks"])
def test_what_the_verifier_needs(command):
    assert needs(command) == "click, rich, scipy and numpy"
    assert missing(command) == (
        f"torchdropout {command} needs click, rich, scipy and numpy: "
        "pip install click rich scipy numpy"
    )


@pytest.mark.parametrize("command", ["audit-model", "mc", "rules", "explain", ""])
def test_what_other_commands_need(command):
    subject = f"torchdropout {command}".rstrip()
    assert missing(command) == f"{subject} needs click and rich: pip install click rich"


def test_a_module_and_a_distribution():
    assert missing("mc.plot") == "torchdropout.mc.plot needs matplotlib: pip install matplotlib"
    assert missing("audit") == (
        "torchdropout audit needs torchdropout-audit: pip install packages/audit, in a clone of "
        "the repository"
    )
