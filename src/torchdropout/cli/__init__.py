"""The command line: parse, call, render, exit code."""

from __future__ import annotations

import gc
import importlib
import importlib.util
from collections.abc import Mapping, Sequence

import click

from .._tools.extras import missing, needs, packages_of
from .._version import __version__
from ..reporting.command import CANNOT_RUN, HELP, run_command, version_option

# The module of each command, imported on demand: its requirements may not be installed.
_MODULES: Mapping[str, str] = {
    "verify": ".verify",
    "compare": ".verify",
    "checks": ".verify",
    "audit": "torchdropout_audit.command",
    "audit-model": ".audit_model",
    "mc": ".mc",
    "rules": ".about",
    "explain": ".about",
    "info": ".about",
}
# What the help says of each; it imports none of them.
_HELP: Mapping[str, str] = {
    "verify": "Check whether a dropout is correct.",
    "compare": "Report where two dropouts differ.",
    "checks": "List the checks of the verifier.",
    "audit": "Find misuse of dropout in source files.",
    "audit-model": "Find where dropout acts in a model.",
    "mc": "Inspect Monte-Carlo dropout.",
    "rules": "List the rules of the audits.",
    "explain": "Explain a check or a rule.",
    "info": "Show the versions and the backend.",
}
# The modules of commands that may run code of a user's, which then finds torchdropout imported.
_WITH_TORCH = (".verify", ".audit_model", ".mc")


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit code.

    Args:
        arguments: Command-line arguments. With None, those of the process, which is then assumed
            to run nothing else: it is forked to verify each target in its own process.

    Returns:
        0 no error found, 1 errors (with `--strict` advice too), 2 cannot run, 130 interrupted.
    """
    return run_command(main, arguments, "torchdropout", obj=arguments is None)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(
                [(n, said if _is_able(n) else f"Needs {needs(n)}.") for n, said in _HELP.items()]
            )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        name = _MODULES[cmd_name]
        try:
            if name in _WITH_TORCH:
                importlib.import_module("torchdropout._front")
            module = importlib.import_module(name, __name__)
        except ModuleNotFoundError as error:
            if error.name not in (*packages_of(cmd_name), name.partition(".")[0]):
                raise
            return _unable(cmd_name)
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        if ctx is not None and ctx.obj:  # the process runs nothing else
            # Imported objects are not garbage. Freezing them keeps forks and the end of the process
            # from searching the objects of torch for garbage, which takes half a second.
            gc.freeze()
        return command


def _unable(name: str) -> click.Command:
    """Returns a stand-in for a command whose requirements are not installed."""

    def tell() -> int:
        click.echo(missing(name), err=True)
        return CANNOT_RUN

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(name, callback=tell, context_settings=anything)


def _is_able(command: str) -> bool:
    """Whether what a command imports first is installed."""
    modules = (name.replace("-", "_") for name in packages_of(command))
    try:
        return all(map(importlib.util.find_spec, modules))
    except ModuleNotFoundError:
        return False


@click.group(cls=_Commands, context_settings=HELP)
@version_option(__version__, "torchdropout")
def main() -> None:
    """Check whether a dropout is correct, and whether it is used correctly."""
