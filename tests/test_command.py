"""What the commands share: exit codes, what they print, and where a report goes."""

import errno
from pathlib import Path

import click
import pytest

from torchdropout.reporting.command import (
    exit_zero_option,
    folder_of_settings,
    formats,
    not_both,
    output_option,
    quiet_option,
    run_command,
    settings_of,
    verbose_option,
    version_option,
)
from torchdropout.reporting.settings import Table, exactly


def ended(outcome, capsys):
    """The exit code of a command that returns or raises something, and its stderr."""

    @click.command()
    def program():
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    code = run_command(program, [], "program")
    out, err = capsys.readouterr()
    assert out == ""
    return code, err


FULL = "program: Expected to write the output, got: full\n"


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        (0, 0, ""),
        (3, 3, ""),
        (None, 0, ""),
        ("text", 0, ""),
        (click.ClickException("no"), 2, "Error: no\n"),
        (click.Abort(), 130, ""),
        (KeyboardInterrupt(), 130, "\n"),  # click ends the line of the terminal
        (OSError(errno.ENOSPC, "full"), 2, FULL),
        (OSError(errno.EBADF, "full"), 2, FULL),
    ],
)
def test_exit_codes(outcome, code, said, capsys):
    assert ended(outcome, capsys) == (code, said)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOENT, "no"), OSError(errno.ENOSPC, "full", "file"), ValueError()]
)
def test_a_fault_of_the_program_is_raised(error, capsys):
    with pytest.raises(type(error)):
        ended(error, capsys)


def test_options_of_all_commands(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    given = []

    @click.command()
    @formats("text", "json")
    @output_option("OUT")
    @quiet_option("QUIET")
    @verbose_option("VERBOSE")
    @exit_zero_option()
    @version_option("1.2", "program")
    def program(form, output, quiet, verbose, exit_zero):
        not_both(quiet, verbose)
        given.append((form, output, quiet, verbose, exit_zero))

    for arguments in ([], ["--format=json", "-o", "f", "-q", "--exit-zero"], ["--output=f", "-v"]):
        assert run_command(program, arguments, "program") == 0
    assert given == [
        ("text", None, False, False, False),
        ("json", Path("f"), True, False, True),
        ("text", Path("f"), False, True, False),
    ]
    assert capsys.readouterr() == ("", "")
    for flag in ("-V", "--version"):
        assert run_command(program, [flag], "program") == 0
        assert capsys.readouterr().out == "program, version 1.2\n"
    assert run_command(program, ["--help"], "program") == 0
    lines = capsys.readouterr().out.splitlines()
    shown = {" ".join(line.split()[:-1]): line.split()[-1] for line in lines if " -" in line[:6]}
    assert shown["-o, --output FILE"] == "OUT"
    assert shown["-q, --quiet"] == "QUIET"
    assert shown["-v, --verbose"] == "VERBOSE"
    assert any("--format [text|json]" in line and "[default: text]" in line for line in lines)


TABLE = Table("torchdropout", {"to-say": ("true or false", exactly(bool))})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "True here"),
        (["--no-config"], "False here"),
        (["--config", "deep/other.toml"], "False deep"),
        (["--to-say", "--config", "deep/other.toml"], "True deep"),
        (["--no-config", "--config", "deep/other.toml"], "--config or --no-config, not both"),
        (["--config", "deep/other.toml", "--no-config"], "--config or --no-config, not both"),
        (["--config", "no.toml"], "Expected to read no.toml"),
    ],
)
def test_settings_are_defaults(arguments, expected, tmp_path, monkeypatch, capsys):
    (tmp_path / "deep").mkdir()
    (tmp_path / "pyproject.toml").write_text("[tool.torchdropout]\nto-say = true\n")
    (tmp_path / "deep" / "other.toml").write_text("[tool.torchdropout]\nto-say = false\n")
    monkeypatch.chdir(tmp_path)

    @click.command()
    @click.option("--to-say", is_flag=True)
    @settings_of(TABLE)
    @click.pass_context
    def program(context, to_say, no_config):
        folder = folder_of_settings(context)
        click.echo(f"{to_say} {'here' if folder == tmp_path else folder.name}")

    code = run_command(program, arguments, "program")
    out, err = capsys.readouterr()
    assert (out == f"{expected}\n") == (code == 0)
    assert code == 0 or (code == 2 and expected in err)
