"""Files are written atomically."""

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from torchdropout.errors import ArgumentValueError
from torchdropout.reporting import atomic, output, streams
from torchdropout.reporting.output import need_writable, style, write, write_file


@pytest.mark.parametrize(("old", "mode"), [(None, 0o660), (0o604, 0o604)])
def test_a_file_is_written_and_nothing_else(tmp_path, old, mode):
    """With the permissions of the old one, or those that any new file gets."""
    path = tmp_path / "report.txt"
    if old is not None:
        path.write_text("old")
        path.chmod(old)
    before = os.umask(0o007)
    try:
        write_file(path, "größer\n")
        assert os.umask(0o007) == 0o007
    finally:
        os.umask(before)
    assert path.read_bytes() == "größer\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("old", "new", "error", "given", "raised"),
    [
        (None, (1, 2), None, [], None),
        ((1, 2), (1, 2), None, [], None),
        ((3, 2), (1, 2), None, [(3, 2)], None),
        ((1, 4), (1, 2), None, [(1, 4)], None),
        ((1, 4), (1, 2), PermissionError, [(1, 4)], None),
        ((3, 2), (1, 2), PermissionError, [(3, 2)], PermissionError),
        ((1, 4), (1, 2), InterruptedError, [(1, 4)], InterruptedError),
    ],
)
def test_the_owner_stays_and_the_group_where_it_may(monkeypatch, old, new, error, given, raised):
    def file(ids):
        uid, gid = ids or (0, 0)
        stat = SimpleNamespace(st_uid=uid, st_gid=gid)
        return SimpleNamespace(exists=lambda: ids is not None, stat=lambda: stat)

    written, chown = file(new), mock.Mock(side_effect=error)
    monkeypatch.setattr(os, "chown", chown)
    with pytest.raises(raised) if raised else contextlib.nullcontext():
        atomic._keep_owner(file(old), written)
    assert chown.call_args_list == [mock.call(written, *ids) for ids in given]


def test_a_link_stays_and_what_it_points_to_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    path = tmp_path / "there" / "report"
    path.write_text("old")
    link = tmp_path / "link"
    link.symlink_to(path)
    write_file(link, "new")
    assert link.is_symlink()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_what_is_not_a_regular_file_is_written_into(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    need_writable(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_file(path, "through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(path.stat().st_mode)
    write_file(Path(os.devnull), "away")
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("name", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_halfway_leaves_the_old_file(tmp_path, monkeypatch, name, error):
    def fail(*_, **__):
        raise error

    path = tmp_path / "report"
    path.write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(type(error)):
            write_file(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_never_half_written(tmp_path, monkeypatch):
    path = tmp_path / "report"
    path.write_text("old")
    seen = []
    monkeypatch.setattr(os, "fsync", lambda n: seen.append((path.read_text(), os.fstat(n).st_size)))
    write_file(path, "newer" * 10**6)
    assert seen == [("old", 5 * 10**6)]


def test_what_cannot_be_written_is_reported(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for path, got in (
        (tmp_path, "got a folder"),
        (tmp_path / "no" / "report", "got no folder .*no"),
        (tmp_path / "file" / "report", "got no folder"),
    ):
        with pytest.raises(ArgumentValueError, match=got) as caught:
            need_writable(path)
        assert str(path) in str(caught.value)
    # Permission is needed in the folder, unless the file cannot be replaced; root always has it.
    asked = []
    monkeypatch.setattr(os, "access", lambda *about: asked.append(about) or len(asked) < 4)
    for path in (tmp_path / "new", tmp_path / "file", Path(os.devnull)):
        need_writable(path)
    assert asked == [(tmp_path, os.W_OK), (tmp_path, os.W_OK), (Path(os.devnull), os.W_OK)]
    with pytest.raises(ArgumentValueError, match="without write permission"):
        need_writable(tmp_path / "report")


@pytest.mark.parametrize(
    ("is_terminal", "no_color", "colors", "width", "styled"),
    [
        (False, False, "standard", None, False),
        (True, False, "standard", 70, True),
        (True, True, "standard", 70, False),
        (True, False, None, 70, False),
    ],
)
def test_the_look_of_stdout(monkeypatch, is_terminal, no_color, colors, width, styled):
    look = {"is_terminal": is_terminal, "no_color": no_color, "color_system": colors, "width": 70}
    console = SimpleNamespace(**look)
    monkeypatch.setattr(output, "Console", lambda: console)
    assert style() == {"width": width, "styled": styled}


def test_a_report_ends_in_one_newline(capsys):
    for text in ("a\nb", "a\nb\n\n"):
        write(text)
        assert capsys.readouterr().out == "a\nb\n"
    write("\x1b[1ma\x1b[0m")  # its look is decided already
    assert capsys.readouterr().out == "\x1b[1ma\x1b[0m\n"


def test_stdout_that_is_closed(monkeypatch):
    silence = mock.Mock()
    monkeypatch.setattr(output, "silence", silence)
    echo = mock.Mock(side_effect=[OSError(5, "x"), BrokenPipeError])
    monkeypatch.setattr(output.click, "echo", echo)
    with pytest.raises(OSError, match="x"):
        write("x")
    silence.assert_not_called()
    write("x")
    silence.assert_called_once_with()
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        write("x")
    assert caught.value.errno == errno.EBADF


@pytest.mark.parametrize(
    ("stdout", "stderr", "replaced"),
    [
        (True, True, []),
        (None, None, []),
        (OSError, True, [1]),
        (True, ValueError, [2]),
        (BrokenPipeError, OSError, [1, 2]),
    ],
)
def test_streams_that_cannot_be_written_are_silenced(monkeypatch, stdout, stderr, replaced):
    for name, kind in (("stdout", stdout), ("stderr", stderr)):
        error = kind if kind not in (None, True) else None
        stream = mock.Mock(**{"write.side_effect": error, "flush.side_effect": error})
        monkeypatch.setattr(sys, name, stream if kind else None)
    dup2 = mock.Mock()
    monkeypatch.setattr(streams.os, "open", lambda path, flags: (path, flags))
    monkeypatch.setattr(streams.os, "dup2", dup2)
    streams.unwritable("program", OSError(28, "full"))
    away = (os.devnull, os.O_WRONLY)
    assert dup2.call_args_list == [mock.call(away, descriptor) for descriptor in replaced]


@pytest.mark.parametrize(("error", "why"), [(OSError(28, "full"), "full"), (OSError("odd"), "odd")])
def test_output_that_cannot_be_written_is_said_in_a_line(capsys, error, why):
    streams.unwritable("program", error)
    assert capsys.readouterr() == ("", f"program: Expected to write the output, got: {why}\n")
