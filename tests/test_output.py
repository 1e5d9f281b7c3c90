"""Files are written atomically."""

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from torchdropout.errors import ArgumentValueError
from torchdropout.reporting import atomic, output, streams
from torchdropout.reporting.output import need_writable, style, write, write_file


def permissions(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_written_and_nothing_else(tmp_path):
    path = tmp_path / "report.txt"
    write_file(path, "größer\n")
    assert path.read_bytes() == "größer\n".encode()
    write_file(path, "new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_permissions_of_any_other(tmp_path):
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "report", "x")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert permissions(tmp_path / "report") == 0o640


def test_an_old_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "report"
    path.write_text("old")
    path.chmod(0o604)
    write_file(path, "new")
    assert permissions(path) == 0o604


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

    def chown(path, *ids):
        assert path is written
        done.append(ids)
        if error:
            raise error

    done, written = [], file(new)
    monkeypatch.setattr(os, "chown", chown)
    with pytest.raises(raised) if raised else contextlib.nullcontext():
        atomic._keep_owner(file(old), written)
    assert done == given


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
    sync = os.fsync

    def watch(descriptor):
        seen.append((path.read_text(), os.fstat(descriptor).st_size))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    for text, before in (("new", "old"), ("newer" * 10**6, "new")):
        write_file(path, text)
        assert seen.pop() == (before, len(text))
    assert seen == []


def test_what_cannot_be_written_is_reported(tmp_path):
    need_writable(tmp_path / "report")
    (tmp_path / "file").write_text("")
    for path, got in (
        (tmp_path, "got a folder"),
        (tmp_path / "no" / "report", "got no folder .*no"),
        (tmp_path / "file" / "report", "got no folder"),
    ):
        with pytest.raises(ArgumentValueError, match=got) as caught:
            need_writable(path)
        assert str(path) in str(caught.value)


def test_a_folder_without_permission_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # root may always write
    with pytest.raises(ArgumentValueError, match="without write permission"):
        need_writable(tmp_path / "report")


def test_where_permission_is_needed(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "access", lambda *about: asked.append(about) or True)
    (tmp_path / "old").write_text("")
    for path in (tmp_path / "new", tmp_path / "old", Path(os.devnull)):
        need_writable(path)
    assert asked == [(tmp_path, os.W_OK), (tmp_path, os.W_OK), (Path(os.devnull), os.W_OK)]


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
    console = SimpleNamespace(
        is_terminal=is_terminal, no_color=no_color, color_system=colors, width=70
    )
    monkeypatch.setattr(output, "Console", lambda: console)
    assert style() == {"width": width, "styled": styled}


def test_a_report_ends_in_one_newline(capsys):
    for text in ("a\nb", "a\nb\n\n"):
        write(text)
        assert capsys.readouterr().out == "a\nb\n"
    write("\x1b[1ma\x1b[0m")  # its look is decided already
    assert capsys.readouterr().out == "\x1b[1ma\x1b[0m\n"


def test_stdout_that_is_closed(monkeypatch):
    silenced = []
    monkeypatch.setattr(output, "silence", lambda: silenced.append(True))
    monkeypatch.setattr(output.click, "echo", lambda *_, **__: os.write(-1, b""))
    with pytest.raises(OSError, match="Bad file descriptor"):
        write("x")
    assert silenced == []

    def leave(*_, **__):
        raise BrokenPipeError

    monkeypatch.setattr(output.click, "echo", leave)
    write("x")
    assert silenced == [True]
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        write("x")
    assert caught.value.errno == errno.EBADF


class Stream:
    """A stream that cannot be written, if there is an error."""

    def __init__(self, error=None):
        self.error = error

    def flush(self):
        if self.error is not None:
            raise self.error

    def write(self, text):
        self.flush()


@pytest.mark.parametrize(
    ("stdout", "stderr", "replaced"),
    [
        (Stream(), Stream(), []),
        (None, None, []),
        (Stream(OSError()), Stream(), [1]),
        (Stream(), Stream(ValueError()), [2]),
        (Stream(BrokenPipeError()), Stream(OSError()), [1, 2]),
    ],
)
def test_streams_that_cannot_be_written_are_silenced(monkeypatch, stdout, stderr, replaced):
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", stderr)
    done = []
    monkeypatch.setattr(streams.os, "open", lambda path, flags: (path, flags))
    monkeypatch.setattr(streams.os, "dup2", lambda *how: done.append(how))
    streams.unwritable("program", OSError(28, "full"))
    away = (os.devnull, os.O_WRONLY)
    assert done == [(away, descriptor) for descriptor in replaced]


@pytest.mark.parametrize(
    ("error", "why"), [(OSError(28, "No space"), "No space"), (OSError("odd"), "odd")]
)
def test_output_that_cannot_be_written_is_said_in_a_line(monkeypatch, capsys, error, why):
    silenced = []
    monkeypatch.setattr(streams, "silence", lambda: silenced.append(True))
    streams.unwritable("program", error)
    said = f"program: Expected to write the output, got: {why}\n"
    assert (capsys.readouterr(), silenced) == (("", said), [True])
