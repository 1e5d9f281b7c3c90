"""What the pages show, and how it is run: shell commands with what they print."""

import re

from torchdropout import cli

# Times, and how many samples came in a time limit.
VARYING = re.compile(r"\b\d+\.\d s\b")


def commands(text):
    """The commands of `torchdropout` in a page's blocks, each with what it is said to print."""
    blocks = re.findall(
        r"^```(?:console)?\n(\$ torchdropout .*?)^```$", text, re.DOTALL | re.MULTILINE
    )
    return [block.split("\n", 1) for block in blocks]


def printed(command, capsys):
    """The exit code of a command, and what it prints, without times."""
    program, name, *rest = command.removeprefix("$ ").split()
    assert program == "torchdropout"
    capsys.readouterr()
    code = cli.run([name, *rest, *(["--no-cache"] if name == "audit" else [])])
    return code, timeless(capsys.readouterr().out)


def timeless(text):
    """The text without what differs from run to run."""
    return VARYING.sub("? s", text)
