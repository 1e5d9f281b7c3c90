"""`python -m torchdropout` where a package is missing, or where it is interrupted."""

import importlib
import sys

import pytest

from torchdropout import __main__ as program
from torchdropout.extras import missing


@pytest.fixture
def raised(monkeypatch):
    """Makes each import raise an error."""

    def raising(error):
        def import_module(name):
            raise error

        monkeypatch.setattr(importlib, "import_module", import_module)

    return raising


def absent(name):
    return ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["verify", "torch.nn:Dropout"], "verify"),
        (["audit", "."], "audit"),
        (["--version"], ""),
        ([], ""),
        (["info", "--format", "json"], "info"),
    ],
)
@pytest.mark.parametrize("name", ["click", "rich"])
def test_a_missing_package_is_named(raised, capsys, name, arguments, command):
    raised(absent(name))
    assert program.main(arguments) == 2
    assert capsys.readouterr() == ("", f"{missing(command)}\n")


def test_the_arguments_are_those_of_the_process(raised, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["torchdropout", "verify"])
    raised(absent("click"))
    assert program.main() == 2
    assert capsys.readouterr().err == f"{missing('verify')}\n"
    assert program.main([]) == 2
    assert capsys.readouterr().err == f"{missing('')}\n"


def test_info_needs_no_package(raised, capsys):
    raised(absent("click"))
    assert program.main(["info"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("torchdropout ")
    assert err == ""


def test_info_that_cannot_be_written(raised, capsys, monkeypatch):
    class Full:
        def write(self, text):
            raise OSError(28, "No space left on device")

        def flush(self):
            pass

    raised(absent("click"))
    monkeypatch.setattr(sys, "stdout", Full())
    assert program.main(["info"]) == 2


def test_a_package_that_lacks_another_is_broken(raised):
    raised(absent("colorama"))
    with pytest.raises(ModuleNotFoundError, match="colorama"):
        program.main(["info"])


def test_an_interrupt_while_packages_load(raised, capsys):
    raised(KeyboardInterrupt())
    assert program.main(["info"]) == 130
    assert capsys.readouterr() == ("", "")
