"""What a command needs, and how it is installed."""

import pytest

from torchdropout.extras import extra_of, missing, needed


@pytest.mark.parametrize(
    ("command", "extra", "what", "text"),
    [
        ("verify", "verify", "torchdropout[verify]", "click, rich, scipy and numpy"),
        ("compare", "verify", "torchdropout[verify]", "click, rich, scipy and numpy"),
        ("checks", "verify", "torchdropout[verify]", "click, rich, scipy and numpy"),
        ("audit-model", "audit", "torchdropout[audit]", "click and rich"),
        ("mc", "audit", "torchdropout[audit]", "click and rich"),
        ("rules", "audit", "torchdropout[audit]", "click and rich"),
        ("explain", "all", "torchdropout[all]", "click and rich"),
        ("", "all", "torchdropout[all]", "click and rich"),
    ],
)
def test_what_a_command_needs(command, extra, what, text):
    assert (extra_of(command), needed(command)) == (extra, what)
    subject = f"torchdropout {command}".rstrip()
    assert missing(command) == f'{subject} needs {text}: pip install "{what}"'


def test_a_module_and_a_distribution():
    plot = 'torchdropout.mc.plot needs matplotlib: pip install "torchdropout[plot]"'
    assert missing("mc.plot") == plot
    assert needed("audit") == "torchdropout-audit"
    assert missing("audit") == (
        "torchdropout audit needs torchdropout-audit: pip install packages/audit, in a clone of "
        "the repository"
    )
