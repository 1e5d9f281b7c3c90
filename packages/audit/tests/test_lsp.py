"""The language server, as a client of pygls sees it over two streams."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import torchdropout_audit
from _texts import ADVICE, BAD, FIXED, HEAD, IGNORED
from torchdropout_audit.registry import RULES

types = pytest.importorskip("lsprotocol.types")
LanguageClient = pytest.importorskip("pygls.lsp.client").LanguageClient
run_async = pytest.importorskip("pygls.io_").run_async
lsp = pytest.importorskip("torchdropout_audit.lsp")

SOURCE = str(Path(torchdropout_audit.__file__).parents[1])
PROGRAM = ("-m", "torchdropout_audit")
LIMIT = 60  # seconds; an answer takes less than one

UNSAFE = (
    "import torch.nn.functional as F\n\n\ndef f(self, x):\n    return F.dropout(x, self.training)\n"
)


class Editor:
    """A scripted editor.

    Its server runs in a thread; in a process of its own, on stdin and stdout, `apart`: to begin one
    takes longer than most scripts.
    """

    def __init__(self):
        self.client = LanguageClient("test", "1")
        self.thread = None
        self.shown = {}
        self.messages = []
        self.texts = {}
        self._news = asyncio.Event()

        @self.client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def publish(params):
            self.shown[params.uri] = (params.version, list(params.diagnostics))
            self._news.set()

        @self.client.feature(types.WINDOW_SHOW_MESSAGE)
        def message(params):
            self.messages.append(params.message)
            self._news.set()

    async def begin(self, *folders, encodings=("utf-16",), apart=False):
        if apart:
            await self.client.start_io(
                sys.executable, *PROGRAM, "--lsp",
                env={**os.environ, "PYTHONPATH": SOURCE},
            )  # fmt: skip
        else:
            await self._begin_here()
        general = types.GeneralClientCapabilities(position_encodings=encodings)
        spaces = [types.WorkspaceFolder(folder.as_uri(), folder.name) for folder in folders]
        given = types.InitializeParams(
            types.ClientCapabilities(general=general), workspace_folders=spaces
        )
        result = await self.wait(self.client.initialize_async(given))
        self.client.initialized(types.InitializedParams())
        return result.capabilities

    async def _begin_here(self):
        """Does what `start_io` of the client does, on a socket."""
        ours, theirs = socket.socketpair()

        def serve():
            with theirs, theirs.makefile("rb") as stdin, theirs.makefile("wb") as stdout:
                lsp.make_server().start_io(stdin, stdout)

        self.thread = threading.Thread(target=serve)
        self.thread.start()
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self.client.protocol.set_writer(self._writer)
        listen = run_async(self.client._stop_event, reader, self.client.protocol)
        self.client._async_tasks.append(asyncio.create_task(listen))

    async def end(self):
        with contextlib.suppress(RuntimeError):
            await self.wait(self.client.shutdown_async(None))
            self.client.exit(None)
        if self.thread is None:
            await self.wait(self.client.stop())
            return self.client._server.returncode
        self._writer.write_eof()
        await self.wait(asyncio.to_thread(self.thread.join))
        await self.wait(self.client.stop())
        self._writer.close()
        await self.wait(self._writer.wait_closed())
        return 0

    async def wait(self, awaitable):
        return await asyncio.wait_for(awaitable, LIMIT)

    async def heard(self):
        """Waits until the server has read all that it was sent."""
        assert await self.actions("file:///no/such.py") is None

    async def until(self, condition):
        while not condition():
            self._news.clear()
            await self.wait(self._news.wait())

    def open(self, uri, text, language="python"):
        uri = uri.as_uri() if isinstance(uri, Path) else uri
        self.texts[uri] = [1, text]
        item = types.TextDocumentItem(uri, language, 1, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))
        return uri

    def change(self, uri, text):
        self.texts[uri] = [self.texts[uri][0] + 1, text]
        document = types.VersionedTextDocumentIdentifier(self.texts[uri][0], uri)
        changes = [types.TextDocumentContentChangeWholeDocument(text)]
        given = types.DidChangeTextDocumentParams(document, changes)
        self.client.text_document_did_change(given)

    def save(self, uri):
        given = types.DidSaveTextDocumentParams(types.TextDocumentIdentifier(uri))
        self.client.text_document_did_save(given)

    def close(self, uri):
        given = types.DidCloseTextDocumentParams(types.TextDocumentIdentifier(uri))
        self.client.text_document_did_close(given)

    async def found(self, uri):
        """The diagnostics of a document, of its present version."""
        await self.until(lambda: self.shown.get(uri, (0,))[0] == self.texts[uri][0])
        return self.shown[uri][1]

    async def actions(self, uri, span=None, only=None):
        document, asked = types.TextDocumentIdentifier(uri), types.CodeActionContext([], only=only)
        given = types.CodeActionParams(document, span or spanning((0, 0), (1000, 0)), asked)
        offered = await self.wait(self.client.text_document_code_action_async(given))
        return None if offered is None else list(offered)

    async def hover(self, uri, *place):
        given = types.HoverParams(types.TextDocumentIdentifier(uri), types.Position(*place))
        return await self.wait(self.client.text_document_hover_async(given))


def spanning(start, end):
    return types.Range(types.Position(*start), types.Position(*end))


def edited(text, edits, encoding="utf-16-le", size=2):
    """A text after the edits of an action; positions count units of the encoding."""
    lines = text.split("\n")

    def offset(position):
        start = sum(len(line) + 1 for line in lines[: position.line])
        line = lines[position.line].encode(encoding)
        return start + len(line[: position.character * size].decode(encoding))

    for edit in sorted(edits, key=lambda e: offset(e.range.start), reverse=True):
        text = text[: offset(edit.range.start)] + edit.new_text + text[offset(edit.range.end) :]
    return text


def edits_of(action, uri):
    return action.edit.changes[uri]


def scripted(script, *folders, **how):
    """Runs a script with an editor whose workspace has some folders."""

    async def run():
        editor = Editor()
        editor.capabilities = await editor.begin(*folders, **how)
        try:
            await editor.wait(script(editor))
        finally:
            code = await editor.end()
        assert code == 0

    asyncio.run(run())


def place(diagnostic):
    span = diagnostic.range
    return (span.start.line, span.start.character), (span.end.line, span.end.character)


def titles(actions):
    return [action.title for action in actions]


@pytest.mark.integration
def test_findings_follow_the_text(tmp_path):
    async def script(editor):
        uri = editor.open(tmp_path / "a.py", BAD)  # a file that was never saved
        [found] = await editor.found(uri)
        assert (found.code, found.source) == ("TD101", "torchdropout")
        assert found.severity == types.DiagnosticSeverity.Error
        assert found.message.endswith("(add training=self.training)")
        assert place(found) == ((6, 15), (6, 32))
        editor.change(uri, FIXED)
        assert await editor.found(uri) == []
        editor.change(uri, ADVICE)
        [found] = await editor.found(uri)
        assert (found.code, found.severity) == ("TD123", types.DiagnosticSeverity.Warning)
        editor.change(uri, "x = 1  # torchdropout: ignore[p-one], nn.Dropout\n")
        [found] = await editor.found(uri)
        assert (found.code, *found.tags) == ("TD003", types.DiagnosticTag.Unnecessary)
        editor.change(uri, BAD + "x = (\n")
        [found] = await editor.found(uri)
        assert (found.code, found.severity) == ("TD001", types.DiagnosticSeverity.Error)
        assert place(found)[0] == (7, 4)
        editor.change(uri, BAD)
        assert len(await editor.found(uri)) == 1
        editor.close(uri)
        await editor.until(lambda: editor.shown[uri] == (None, []))
        assert not (tmp_path / "a.py").exists()

    scripted(script, tmp_path, apart=True)


def test_comments_and_settings_hold(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one / "deep", one / "old", one / ".venv" / "own", two):
        folder.mkdir(parents=True)
    (one / "pyproject.toml").write_text(
        "[tool.torchdropout.audit]\nignore = ['p-one']\nexclude = ['old/']\n"
        "per-file-ignores = { 'x_*.py' = ['TD101'] }\n"
    )
    both = BAD + "\n\ndrop = nn.Dropout(1.0)\n"

    async def codes(editor, path, text=both):
        return {found.code for found in await editor.found(editor.open(path, text))}

    async def script(editor):
        assert await codes(editor, one / "deep" / "a.py") == {"TD101"}
        assert await codes(editor, two / "a.py") == {"TD101", "TD123"}
        assert await codes(editor, one / "x_1.py") == set()
        assert await codes(editor, one / "old" / "a.py") == set()
        assert await codes(editor, one / ".venv" / "a.py") == set()
        assert await codes(editor, one / ".venv" / "own" / "a.py") == {"TD101"}  # which is opened
        assert await codes(editor, one / "b.py", IGNORED) == set()
        assert await codes(editor, tmp_path / "c.py") == {"TD101", "TD123"}  # in neither folder

    scripted(script, one, two, one / ".venv" / "own")


def test_settings_are_read_again(tmp_path):
    settings = tmp_path / "pyproject.toml"

    async def script(editor):
        uri = editor.open(tmp_path / "a.py", BAD)
        assert len(await editor.found(uri)) == 1
        settings.write_text("[tool.torchdropout.audit]\nignore = ['TD101']\n")
        editor.save(uri)
        await editor.until(lambda: editor.shown[uri][1] == [])
        settings.write_text("[tool.torchdropout.audit]\nignroe = ['TD101']\n")
        editor.save(uri)
        await editor.until(lambda: editor.messages)
        [message] = editor.messages
        assert message.startswith("torchdropout: Expected a key of [tool.torchdropout.audit] in ")
        assert "got 'ignroe'; close to it: ignore" in message
        editor.save(uri)
        await editor.until(lambda: editor.messages == [message, message])

    scripted(script, tmp_path)


class Audit:
    """The audit of a text, which has a fault where the text says so."""

    def __init__(self, audit):
        self._audit, self.texts = audit, []

    def __call__(self, text, *arguments):
        self.texts.append(text)
        if "fault" in text:
            raise ZeroDivisionError("a fault")
        return self._audit(text, *arguments)


@pytest.fixture
def audit(monkeypatch):
    audit = Audit(lsp.audit_text)
    monkeypatch.setattr(lsp, "audit_text", audit)
    return audit


def test_wrong_settings_where_it_starts_do_not_stop_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.torchdropout.audit]\nno = 1\n")

    async def script(editor):
        uri = editor.open("untitled:Untitled-1", BAD)
        assert await editor.found(uri) == []
        await editor.until(lambda: editor.messages)

    scripted(script)


@pytest.mark.integration
def test_a_fault_in_a_rule_is_shown_once_and_the_server_goes_on(tmp_path, audit):
    async def script(editor):
        uri = editor.open(tmp_path / "a.py", BAD + "# a fault\n")
        for _ in range(3):
            assert await editor.found(uri) == []
            editor.change(uri, editor.texts[uri][1] + "\n")
        assert await editor.found(uri) == []
        assert editor.messages == [
            "torchdropout: a.py: the audit failed: ZeroDivisionError: a fault"
        ]
        editor.change(uri, BAD)
        assert len(await editor.found(uri)) == 1

    scripted(script, tmp_path)


class Pauses:
    """The module `asyncio` for the server: a pause ends when the test says so."""

    def __init__(self):
        self.begun = []

    async def sleep(self, seconds):
        if seconds:
            may_end, has_ended = threading.Event(), threading.Event()
            self.begun.append((seconds, may_end, has_ended))
            while not may_end.is_set():
                await asyncio.sleep(0.01)
            has_ended.set()

    async def end(self, which):
        _, may_end, has_ended = self.begun[which]
        may_end.set()
        assert await asyncio.to_thread(has_ended.wait, LIMIT)

    def __getattr__(self, name):
        return getattr(asyncio, name)


def test_a_text_that_still_changes_is_not_audited(tmp_path, audit, monkeypatch):
    pauses = Pauses()
    monkeypatch.setattr(lsp, "asyncio", pauses)

    async def script(editor):
        uri = editor.open(tmp_path / "a.py", FIXED)
        await editor.found(uri)  # at once
        editor.change(uri, "drop(")
        await editor.heard()
        editor.change(uri, BAD + "# a fault\n")
        await editor.heard()
        await pauses.end(0)
        editor.change(uri, BAD)
        await editor.heard()
        await pauses.end(1)
        await editor.heard()
        assert audit.texts == [FIXED]
        await pauses.end(2)
        assert len(await editor.found(uri)) == 1
        assert audit.texts == [FIXED, BAD]
        assert [seconds for seconds, *_ in pauses.begun] == [lsp._PAUSE] * 3
        assert 0 < lsp._PAUSE < 0.5  # longer would be felt

    try:
        scripted(script, tmp_path)
    finally:
        for _, may_end, _ in pauses.begun:
            may_end.set()


@pytest.mark.integration
@pytest.mark.parametrize("mark", ["", "é"])
def test_many_findings_in_one_line(tmp_path, mark):
    calls = ", ".join("F.dropout(x, 0.1)" for _ in range(1_000))
    text = f"import torch.nn.functional as F\nf({calls})  # {mark}\n"

    async def script(editor):
        began = time.process_time()
        uri = editor.open(tmp_path / "a.py", text)
        found = await editor.found(uri)
        assert place(found[-1]) == ((1, 2 + 999 * 19), (1, 2 + 999 * 19 + 17))
        await editor.hover(uri, 1, 5)
        assert len(await editor.actions(uri, spanning((1, 5), (1, 5)))) == 1
        assert time.process_time() - began < 8  # it took 30 when each finding counted the line

    scripted(script, tmp_path)


def test_it_ends_with_the_editor():
    done = subprocess.run(
        [sys.executable, *PROGRAM, "--lsp"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT, check=False,
        env={**os.environ, "PYTHONPATH": SOURCE},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"")


def test_fixes_are_offered(tmp_path):
    async def script(editor):
        provider = editor.capabilities.code_action_provider
        assert set(provider.code_action_kinds) == {"quickfix", "source.fixAll.torchdropout"}
        uri = editor.open(tmp_path / "a.py", BAD)
        fix, ignore, fix_all = await editor.actions(uri)
        assert fix.title == "TD101: add training=self.training"
        assert (fix.kind, fix.is_preferred) == ("quickfix", True)
        assert [found.code for found in fix.diagnostics] == ["TD101"]
        [edit] = edits_of(fix, uri)
        assert (edit.new_text, edit.range.start) == (", training=self.training", edit.range.end)
        assert edited(BAD, [edit]) == FIXED
        assert ignore.title == "TD101: ignore functional-always-on on this line"
        assert (ignore.kind, ignore.is_preferred) == ("quickfix", None)
        assert edited(BAD, edits_of(ignore, uri)) == IGNORED
        assert fix_all.kind == "source.fixAll.torchdropout"
        assert edited(BAD, edits_of(fix_all, uri)) == FIXED
        # Actions are requested at a place, and of a kind.
        elsewhere = spanning((0, 0), (6, 14))
        assert titles(await editor.actions(uri, elsewhere)) == [fix_all.title]
        assert await editor.actions(uri, elsewhere, ["quickfix"]) == []
        for start, end, count in (
            *(((6, 20), (6, 20), 3), ((0, 0), (6, 15), 3), ((6, 32), (7, 0), 3)),
            *(((6, 33), (7, 0), 1), ((7, 0), (8, 9), 1)),
        ):
            assert len(await editor.actions(uri, spanning(start, end))) == count
        for only in (["source"], ["source.fixAll"], ["source.fixAll.torchdropout"]):
            assert titles(await editor.actions(uri, only=only)) == [fix_all.title]
        assert await editor.actions(uri, only=["source.fixAll.ruff"]) == []
        assert len(await editor.actions(uri, only=["quickfix"])) == 2
        # Right after a change, before its audit.
        editor.change(uri, FIXED)
        assert await editor.actions(uri) == []
        assert await editor.actions("file:///no/such.py") is None

    scripted(script, tmp_path)


def test_all_safe_fixes_at_once_and_none_that_is_unsafe(tmp_path):
    text = BAD + "".join(
        f"\n    def f{i}(self, x):\n        return F.dropout(x, {p})\n"
        for i, p in enumerate(["0.1", "self.training", "0.2"])
    )
    new = text.replace("0.1)", "0.1, training=self.training)")
    new = new.replace("0.2)", "0.2, training=self.training)")

    async def script(editor):
        uri = editor.open(tmp_path / "a.py", text)
        [action] = await editor.actions(uri, only=["source.fixAll"])
        edits = edits_of(action, uri)
        assert edited(text, edits) == new
        offered = titles(await editor.actions(uri, only=["quickfix"]))
        fixes = [title for title in offered if "ignore" not in title]
        assert ["(unsafe" in title for title in fixes] == [False, False, True, False]
        editor.change(uri, UNSAFE)
        [fix, ignore] = await editor.actions(uri)
        assert fix.title.startswith("TD103: ")
        assert fix.title.endswith(" (unsafe: may change behaviour)")
        assert fix.is_preferred is None
        fixed = edited(UNSAFE, edits_of(fix, uri))
        assert "training=self.training" in fixed
        assert ignore.title == "TD103: ignore training-passed-as-p on this line"
        editor.change(uri, "from torch import nn\n\ndrop = nn.Dropout(size=0.5)\n")
        assert titles(await editor.actions(uri)) == [
            "TD106: ignore dropout-wrong-arguments on this line"  # it has no fix
        ]

    scripted(script, tmp_path)


@pytest.mark.parametrize(
    ("encoding", "codec", "size", "first"),
    [("utf-16", "utf-16-le", 2, 20), ("utf-8", "utf-8", 1, 30), ("utf-32", "utf-32-le", 4, 17)],
)
def test_places_count_the_units_of_the_editor(tmp_path, encoding, codec, size, first):
    before = "        '😀漢字😀😀'; "
    text = "# coding: latin-1\x0c\n" + HEAD + f"{before}F.dropout(x, 0.1)  # é\r\n# 😀\n"
    assert len(before.encode(codec)) == size * first

    async def script(editor):
        uri = editor.open(tmp_path / "a.py", text)
        found, *_ = await editor.found(uri)
        assert found.code == "TD101"
        assert place(found) == ((7, first), (7, first + 17))
        for action in await editor.actions(uri):
            new = edited(text, edits_of(action, uri), codec, size)
            assert new.count("# coding: latin-1\x0c\n") == new.count("# é") == 1
            if "ignore functional" in action.title:
                mark = "# torchdropout: ignore[functional-always-on]"
                assert new == text.replace("# é", f"# é  {mark}")
            if "training" in action.title:
                assert new == text.replace("0.1)", "0.1, training=self.training)")
        assert await editor.hover(uri, 7, first - 1) is None
        assert await editor.hover(uri, 7, first) is not None
        assert await editor.hover(uri, 7, first + 17) is not None
        assert await editor.hover(uri, 7, first + 18) is None

    scripted(script, tmp_path, encodings=[encoding])


def test_the_page_of_a_rule(tmp_path):
    async def script(editor):
        uri = editor.open(tmp_path / "a.py", BAD)
        hover = await editor.hover(uri, 6, 20)
        rule = RULES["functional-always-on"]
        assert hover.contents.kind == types.MarkupKind.Markdown
        page = hover.contents.value
        assert page.startswith(f"### {rule.code} {rule.name}\n\n**{rule.summary}** (error)\n")
        assert "\n+        return F.dropout(x, 0.1, training=self.training)\n" in page
        assert await editor.hover(uri, 0, 0) is None
        assert await editor.hover(uri, 5000, 0) is None

    scripted(script, tmp_path)


@pytest.mark.integration
def test_documents_that_are_not_files(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.torchdropout.audit]\nignore = ['TD123']\n")
    both = BAD + "\n\ndrop = nn.Dropout(1.0)\n"

    async def script(editor):
        for uri in (
            *("untitled:Untitled-1", "vscode-vfs://github/o/r/a%20%23.py", "http://host/a.py"),
            *(f"file://host{tmp_path}/other/a.py", "a.py", ""),
        ):
            editor.open(uri, both)
            [found] = await editor.found(uri)  # by the settings of the first folder
            assert found.code == "TD101"
            assert len(await editor.actions(uri)) == 3
        # What is not Python is not audited, whatever it holds; nor is a notebook as JSON.
        for name, language in (("a.txt", "plaintext"), ("a.ipynb", "json"), ("a.pyc", "")):
            uri = editor.open(tmp_path / name, BAD, language)
            assert await editor.actions(uri) is None
            assert await editor.hover(uri, 6, 20) is None
        for name, language in (("a#b%c d.py", ""), ("b.txt", "python"), ("a.pyi", "plaintext")):
            uri = editor.open(tmp_path / name, BAD, language)
            assert len(await editor.found(uri)) == 1

    scripted(script, tmp_path)
