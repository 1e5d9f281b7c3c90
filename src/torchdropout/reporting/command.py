"""What the commands share: exit codes, options, settings, the destination of a report."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ..errors import ArgumentTypeError, ArgumentValueError, TargetError
from .lines import clean
from .output import write, write_file
from .settings import Table
from .streams import occupy, silence, unwritable

OK, ERRORS, CANNOT_RUN, INTERRUPTED = 0, 1, 2, 130
# The user's mistakes: reported in one line, without a traceback.
WRONG = (TargetError, ArgumentTypeError, ArgumentValueError)
_SETTINGS = "torchdropout.settings"  # the file they are from, in the context
_NOT_BOTH = "Expected --config or --no-config, not both"
# What is wrong with an output that cannot be written; any other OSError is a fault of the program.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
HELP = {"help_option_names": ["-h", "--help"]}

_Command = TypeVar("_Command", bound=Callable[..., object])


def run_command(
    command: click.Command, arguments: Sequence[str] | None, name: str, obj: Any = None
) -> int:
    """Runs a command line and returns its exit code.

    Args:
        command: The command.
        arguments: Command-line arguments; those of the process when None.
        name: The name of the program.
        obj: What the command finds in its context.

    Returns:
        What the command returns; 2 for a wrong command line or an output that cannot be written,
        each with a message on stderr; 130 when interrupted.
    """
    occupy()
    try:
        code = command.main(arguments, prog_name=name, standalone_mode=False, obj=obj)
    except click.ClickException as error:
        error.show()
        return CANNOT_RUN
    except (click.Abort, KeyboardInterrupt) as error:
        cause = error.__cause__ if isinstance(error, click.Abort) else error
        return 128 + getattr(cause, "number", INTERRUPTED - 128)  # that of a signal
    except OSError as error:
        if error.errno not in _FULL or error.filename is not None:
            raise
        unwritable(name, error)
        return CANNOT_RUN
    return code if isinstance(code, int) else OK


def tell(message: str) -> None:
    """Prints a line on stderr, after the program's name, if stderr can be written."""
    context = click.get_current_context(silent=True)
    name = "torchdropout" if context is None else context.find_root().info_name
    try:
        click.echo(clean(f"{name}: {message}"), err=True)  # it may quote the name of a file
    except OSError:  # the report is still written
        silence()


def formats(*names: str) -> Callable[[_Command], _Command]:
    """The option `--format`; the first name is the default."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(names),
        default=names[0],
        show_default=True,
        help="How to print it.",
    )


def output_option(help_text: str) -> Callable[[_Command], _Command]:
    """The option `-o`, `--output`."""
    return click.option(
        "--output", "-o", type=click.Path(path_type=Path), metavar="FILE", help=help_text
    )


def quiet_option(help_text: str) -> Callable[[_Command], _Command]:
    """The option `-q`, `--quiet`."""
    return click.option("--quiet", "-q", is_flag=True, help=help_text)


def verbose_option(help_text: str) -> Callable[[_Command], _Command]:
    """The option `-v`, `--verbose`."""
    return click.option("--verbose", "-v", is_flag=True, help=help_text)


def exit_zero_option() -> Callable[[_Command], _Command]:
    """The option `--exit-zero`."""
    return click.option("--exit-zero", is_flag=True, help="Exit with 0, whatever is found.")


def version_option(version: str, name: str) -> Callable[[_Command], _Command]:
    """The option `-V`, `--version`."""
    return click.version_option(version, "--version", "-V", prog_name=name)


def not_both(quiet: bool, verbose: bool) -> None:
    """Raises `UsageError` where both are given."""
    if quiet and verbose:
        raise click.UsageError("Expected --quiet or --verbose, not both")


def completing(
    names: Callable[[], Iterable[tuple[str, str]]], *, listed: bool = False
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Completes names in a shell: the value of `shell_complete` of an argument or option.

    Args:
        names: Returns the names, each with a line of help.
        listed: Whether the value may be several names separated by commas.
    """

    def complete(_: click.Context, __: click.Parameter, typed: str) -> list[CompletionItem]:
        before, comma, last = typed.rpartition(",") if listed else ("", "", typed)
        return [
            CompletionItem(f"{before}{comma}{name}", help=help_text)
            for name, help_text in names()
            if name.lower().startswith(last.lower())
        ]

    return complete


def settings_of(table: Table) -> Callable[[_Command], _Command]:
    """The options `--config` and `--no-config`: a table's settings are the command's defaults.

    The command gets a parameter `no_config`, which it may ignore.
    """

    def configure(context: click.Context, _: click.Parameter, path: Path | None) -> None:
        if context.params.get("no_config"):
            if path is not None:
                raise click.UsageError(_NOT_BOTH)
            return
        try:
            path = path or table.find(Path.cwd())
            settings = {} if path is None else table.read(path)
        except WRONG as error:
            raise click.UsageError(str(error)) from error
        settings = {key.replace("-", "_"): value for key, value in settings.items()}
        if "format" in settings:
            settings["form"] = settings.pop("format")
        context.default_map = settings
        context.meta[_SETTINGS] = path

    def decorate(command: _Command) -> _Command:
        command = click.option(
            "--config",
            type=click.Path(path_type=Path),
            metavar="FILE",
            is_eager=True,
            expose_value=False,
            callback=configure,
            help=f"Read [tool.{table.name}] from this file, not from the nearest pyproject.toml.",
        )(command)
        return click.option(
            "--no-config",
            is_flag=True,
            is_eager=True,
            callback=_unconfigured,
            help="Read no pyproject.toml.",
        )(command)

    return decorate


def folder_of_settings(context: click.Context) -> Path:
    """The folder that patterns are relative to: that of the settings, else the current one."""
    path: Path | None = context.meta.get(_SETTINGS)
    return Path.cwd() if path is None else path.resolve().parent


def _unconfigured(context: click.Context, _: click.Parameter, value: bool) -> bool:
    if value and context.default_map is not None:  # --config came first
        raise click.UsageError(_NOT_BOTH)
    return value


def publish(
    output: Path | None,
    said: str,
    held_back: str,
    shown: Callable[[], str],
    filed: Callable[[], str],
    quiet: bool = False,
) -> bool:
    """Writes a report to its file, or to stdout where there is no file or it must not be written.

    Args:
        output: The file; None for stdout.
        said: The verdict in one line, for stderr when the report goes to a file.
        held_back: Why the file must not be written; empty when it may be.
        shown: Returns the report for stdout.
        filed: Returns it for the file.
        quiet: Whether to leave out the verdict on stderr.

    Returns:
        False when a complete report could not be written to its file.
    """
    if output is None:
        write(shown())
        return True
    reason = held_back or _filed(output, filed())
    if not reason:
        if not quiet:
            tell(f"{said.rstrip('.')}; see {output}")
        return True
    tell(f"{output} is unchanged: {reason}")
    write(shown())
    return bool(held_back)


def _filed(output: Path, text: str) -> str:
    try:
        write_file(output, text)
    except OSError as error:
        return error.strerror or str(error)
    return ""
