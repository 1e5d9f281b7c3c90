"""The language server: findings, fixes and the rules' pages in an editor.

It needs pygls, which the extra `lsp` installs; nothing else imports this module.
"""

from __future__ import annotations

import asyncio
import io
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from urllib.parse import unquote

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path, urlparse
from pygls.workspace import PositionCodec, TextDocument

from ._version import __version__
from .comments import NOT_IGNORED
from .editor import Change, Document, Found, Place, Settings, is_source
from .files import MOST_BYTES
from .findings import SourceFinding
from .registry import RULES, UNUSED_IGNORE
from .reporting.command import WRONG
from .reporting.rules import render_rule, render_rule_markdown

FIX_ALL = "source.fixAll.torchdropout"

_MOST_HEADER = 1_000  # bytes of a line
_PAUSE = 0.2  # seconds without a change before a document is audited
_SEVERITY = {
    "error": types.DiagnosticSeverity.Error,
    "advice": types.DiagnosticSeverity.Warning,
}
_PYTHON = "python"
_NOTEBOOKS = types.NotebookDocumentSyncOptions(
    notebook_selector=[
        types.NotebookDocumentFilterWithCells(
            notebook="*", cells=[types.NotebookCellLanguage(_PYTHON)]
        )
    ],
    save=True,
)


def serve() -> None:
    """Runs the server on stdin and stdout until the editor ends it."""
    with _Stdin(io.FileIO(sys.stdin.fileno(), closefd=False)) as stdin:
        make_server().start_io(stdin)


@dataclass(eq=False)
class _Open:
    """An open document or notebook.

    Attributes:
        uri: Where it is, as the editor says it.
        lock: Held while it is audited.
        turn: Stands for the last request for an audit; only that is answered.
        parts: What was audited last: the document, or the cells of the notebook.
        versions: The version of each part.
        document: The result; None before the first audit.
        shown: The parts that the editor shows something in.
    """

    uri: str
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    turn: object = None
    parts: tuple[str, ...] = ()
    versions: tuple[int | None, ...] = ()
    document: Document | None = None
    shown: frozenset[str] = frozenset()

    def part_of(self, uri: str) -> int:
        """Returns which part a URI is; editors may differ in what they escape."""
        return [unquote(part) for part in self.parts].index(unquote(uri))


class Server(LanguageServer):
    """The server, and what is open."""

    def __init__(self) -> None:
        # Whole texts are sent: pygls applies partial changes to lines that end at a form feed, too.
        super().__init__(
            "torchdropout-audit",
            __version__,
            text_document_sync_kind=types.TextDocumentSyncKind.Full,
            notebook_document_sync=_NOTEBOOKS,
        )
        self.site = ""
        self._open: dict[str, _Open] = {}
        self._said: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def audit_later(self, uri: str, pause: float = 0.0, *, afresh: bool = False) -> None:
        """Audits a document, or the notebook of a cell, and shows what is found.

        Args:
            uri: The document, the notebook or one of its cells.
            pause: Seconds to wait; a further request in this time takes the place of this one.
            afresh: Whether to audit it even if its text has not changed.
        """
        notebook = self.workspace.get_notebook_document(cell_uri=uri)
        uri = uri if notebook is None else notebook.uri
        opened = self._open.setdefault(unquote(uri), _Open(uri))
        opened.turn = turn = object()
        if afresh:
            opened.document = None
            self._said.clear()
        task = asyncio.ensure_future(self._show(opened, turn, pause))
        self._tasks.add(task)  # the loop itself keeps weak references only
        task.add_done_callback(self._tasks.discard)

    def audit_all_again(self) -> None:
        """Audits all open documents, as after a change of settings."""
        for opened in list(self._open.values()):
            self.audit_later(opened.uri, afresh=True)

    def forget(self, uri: str) -> None:
        """Removes a document that was closed, and what is shown in it."""
        opened = self._open.pop(unquote(uri), None)
        for part in () if opened is None else opened.shown:
            self._publish(part, None, [])

    async def audited(self, uri: str) -> tuple[_Open, Document] | None:
        """Returns a document as it is now, audited; None if it is not Python or not open."""
        notebook = self.workspace.get_notebook_document(cell_uri=uri)
        opened = self._open.get(unquote(uri if notebook is None else notebook.uri))
        if opened is None:
            return None
        async with opened.lock:
            parts = self._parts(opened.uri)
            if not parts:
                return None
            texts = tuple(part.source for part in parts)
            uris = tuple(part.uri for part in parts)
            known = opened.document
            if known is None or known.texts != texts or opened.parts != uris:
                versions = tuple(part.version for part in parts)
                turn = opened.turn
                known = await asyncio.to_thread(self._audit, opened.uri, texts)
                opened.parts, opened.versions = uris, versions
                # Settings may have changed meanwhile: what was found by the old ones is not kept.
                opened.document = known if opened.turn is turn else None
            return opened, known

    def range_of(self, document: Document, part: int, start: Place, end: Place) -> types.Range:
        """Converts places in characters into the units of the editor."""
        lines = document.lines[part]

        def position(place: Place) -> types.Position:
            line = lines[place[0]].rstrip("\r\n") if place[0] < len(lines) else ""
            column = min(place[1], len(line))
            return types.Position(place[0], self._units(line)[column])

        return types.Range(position(start), position(end))

    def place_of(self, document: Document, part: int, position: types.Position) -> Place:
        """Converts a position of the editor into a place in characters."""
        lines = document.lines[part]
        line = lines[position.line] if position.line < len(lines) else ""
        column = bisect_left(self._units(line), position.character)
        return position.line, min(column, len(line))

    def _units(self, line: str) -> Sequence[int]:
        """Returns how many units of the editor are before each place in a line, and its end."""
        if line.isascii():
            return range(len(line) + 1)
        # A long line may have many findings, and is counted once.
        return _counted(line, self.workspace.position_codec.encoding)

    def diagnostic(self, document: Document, found: Found) -> types.Diagnostic:
        """Returns what the editor shows of a finding."""
        finding = found.finding
        hint = f" ({finding.hint})" if finding.hint else ""
        page = None
        if self.site:
            anchor = f"{finding.code} {finding.name}".lower().replace(" ", "-")
            page = types.CodeDescription(f"{self.site.rstrip('/')}/rules.html#{anchor}")
        return types.Diagnostic(
            self.range_of(document, found.part, found.start, found.end),
            finding.message + hint,
            _SEVERITY[finding.severity],
            code=finding.code,
            code_description=page,
            source="torchdropout",
            tags=[types.DiagnosticTag.Unnecessary] if finding.code == UNUSED_IGNORE.code else None,
        )

    def edit(
        self, opened: _Open, document: Document, changes: Sequence[Change]
    ) -> types.WorkspaceEdit:
        """Returns the edit that makes some changes."""
        edits: dict[int, list[types.TextEdit]] = {}
        for change in changes:
            span = self.range_of(document, change.part, change.start, change.end)
            edits.setdefault(change.part, []).append(types.TextEdit(span, change.text))
        workspace = self.client_capabilities.workspace
        if workspace and workspace.workspace_edit and workspace.workspace_edit.document_changes:
            return types.WorkspaceEdit(
                document_changes=[
                    types.TextDocumentEdit(
                        types.OptionalVersionedTextDocumentIdentifier(
                            opened.parts[part], opened.versions[part]
                        ),
                        made,
                    )
                    for part, made in edits.items()
                ]
            )
        return types.WorkspaceEdit({opened.parts[part]: made for part, made in edits.items()})

    def say(self, message: str, kind: types.MessageType = types.MessageType.Error) -> None:
        """Shows a message once, until settings change or a file is saved."""
        if message not in self._said:
            self._said.add(message)
            self.window_show_message(types.ShowMessageParams(kind, f"torchdropout: {message}"))

    def _parts(self, uri: str) -> list[TextDocument]:
        """Returns the Python document at a URI, or the code cells of the notebook."""
        notebook = self.workspace.get_notebook_document(notebook_uri=uri)
        documents = self.workspace.text_documents
        if notebook is None:
            document = documents.get(unquote(uri))
            return [document] if document is not None and _is_python(document) else []
        cells = [
            documents.get(unquote(cell.document))
            for cell in notebook.cells
            if cell.kind == types.NotebookCellKind.Code
        ]
        return [cell for cell in cells if cell is not None and cell.language_id == _PYTHON]

    async def _show(self, opened: _Open, turn: object, pause: float) -> None:
        await asyncio.sleep(pause)
        if opened.turn is not turn:
            return
        audited = await self.audited(opened.uri)
        if opened.turn is not turn or opened not in self._open.values():
            return
        if audited is None:  # its language is not Python any more
            shown: dict[str, list[types.Diagnostic]] = {}
        else:
            document = audited[1]
            if document.problem:
                self.say(document.problem, types.MessageType.Warning)
            shown = {part: [] for part in opened.parts}
            for found in document.found:
                shown[opened.parts[found.part]].append(self.diagnostic(document, found))
        versions = dict(zip(opened.parts, opened.versions, strict=True))
        for part in opened.shown - shown.keys():  # cells that were removed
            self._publish(part, None, [])
        for part, diagnostics in shown.items():
            self._publish(part, versions[part], diagnostics)
        opened.shown = frozenset(shown)

    def _publish(self, uri: str, version: int | None, found: list[types.Diagnostic]) -> None:
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(uri, found, version=version)
        )

    def _audit(self, uri: str, texts: Sequence[str]) -> Document:
        """Audits texts by the settings of the folder that they are in."""
        is_notebook = self.workspace.get_notebook_document(notebook_uri=uri) is not None
        name, rules, problem = urlparse(uri)[2], frozenset[str](), ""
        try:
            name, rules = self._name_and_rules(uri)
            return Document(name, texts, rules, is_notebook=is_notebook)
        except WRONG as error:  # of the settings: as the command, audit nothing
            problem = str(error)
        except Exception as error:  # a fault in a rule: the server goes on
            problem = f"{name}: the audit failed: {type(error).__name__}: {error}"
        document = Document(name, texts, frozenset(), is_notebook=is_notebook)
        document.problem = problem
        return document

    def _name_and_rules(self, uri: str) -> tuple[str, frozenset[str]]:
        """Returns the name of a document, and the rules that apply to it."""
        folders = list(self._folders())
        file = to_fs_path(uri)
        path = Path(file or "")
        holding = [folder for folder in folders if path.is_relative_to(folder)]
        # Not saved yet, or on another machine, which is not asked for settings unless the editor
        # has opened a folder there.
        if file is None or (file.startswith(("//", "\\\\")) and not holding):
            settings = Settings.of(folders[0] if folders else Path.cwd())
            return urlparse(uri)[2], settings.rules
        folder = max(holding, key=lambda one: len(one.parts), default=None)
        if not is_source(path, folder):
            return file, frozenset()
        settings = Settings.of(path.parent)
        base = folder or settings.root
        name = str(path.relative_to(base)) if path.is_relative_to(base) else file
        return name, settings.rules_for(path) or frozenset()

    def _folders(self) -> Iterator[Path]:
        uris = [folder.uri for folder in self.workspace.folders.values()]
        uris = uris or [self.workspace.root_uri or ""]
        for uri in uris:
            path = to_fs_path(uri)
            if path:
                yield Path(path)


@lru_cache(maxsize=16)
def _counted(line: str, encoding: str) -> Sequence[int]:
    codec = PositionCodec(encoding)
    return [0, *accumulate(map(codec.client_num_units, line))]


class _Stdin(io.BufferedReader):
    """What an editor sends; it ends at a message that would not fit in memory."""

    def readline(self, size: int | None = -1, /) -> bytes:
        """Returns a line of a header, or a part of a line that is no header."""
        return super().readline(_MOST_HEADER)

    def read(self, size: int | None = -1, /) -> bytes:
        """Returns the rest of a message."""
        if size is not None and size > MOST_BYTES:
            sys.stderr.write(f"Expected a message of at most {MOST_BYTES:,} bytes, got {size:,}\n")
            return b""  # as at the end
        return super().read(size)


def make_server() -> Server:
    """Returns a server with all its features, not yet started."""
    server = Server()

    @server.feature(types.INITIALIZE)
    def initialize(ls: Server, params: types.InitializeParams) -> None:
        options = params.initialization_options
        site = options.get("site", "") if isinstance(options, dict) else ""
        if isinstance(site, str):
            ls.site = site
        else:
            expected = "Expected the option `site` to be the address of a site"
            ls.say(f"{expected}, got {site!r} ({type(site).__name__})")

    @server.feature(types.INITIALIZED)
    async def initialized(ls: Server, _: types.InitializedParams) -> None:
        workspace = ls.client_capabilities.workspace
        watched = workspace.did_change_watched_files if workspace else None
        if watched is not None and watched.dynamic_registration:
            options = types.DidChangeWatchedFilesRegistrationOptions(
                [types.FileSystemWatcher("**/pyproject.toml")]
            )
            method = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
            await ls.client_register_capability_async(
                types.RegistrationParams([types.Registration("settings", method, options)])
            )

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def settings_changed(ls: Server, _: types.DidChangeWatchedFilesParams) -> None:
        ls.audit_all_again()

    @server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
    def folders_changed(ls: Server, _: types.DidChangeWorkspaceFoldersParams) -> None:
        ls.audit_all_again()

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def opened(ls: Server, params: types.DidOpenTextDocumentParams) -> None:
        ls.audit_later(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def changed(ls: Server, params: types.DidChangeTextDocumentParams) -> None:
        ls.audit_later(params.text_document.uri, _PAUSE)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def saved(ls: Server, params: types.DidSaveTextDocumentParams) -> None:
        ls.audit_later(params.text_document.uri, afresh=True)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(ls: Server, params: types.DidCloseTextDocumentParams) -> None:
        ls.forget(params.text_document.uri)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def notebook_opened(ls: Server, params: types.DidOpenNotebookDocumentParams) -> None:
        ls.audit_later(params.notebook_document.uri)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def notebook_changed(ls: Server, params: types.DidChangeNotebookDocumentParams) -> None:
        ls.audit_later(params.notebook_document.uri, _PAUSE)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_SAVE)
    def notebook_saved(ls: Server, params: types.DidSaveNotebookDocumentParams) -> None:
        ls.audit_later(params.notebook_document.uri, afresh=True)

    @server.feature(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def notebook_closed(ls: Server, params: types.DidCloseNotebookDocumentParams) -> None:
        ls.forget(params.notebook_document.uri)

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix, FIX_ALL]),
    )
    async def code_actions(
        ls: Server, params: types.CodeActionParams
    ) -> list[types.CodeAction] | None:
        audited = await ls.audited(params.text_document.uri)
        if audited is None:
            return None
        return await asyncio.to_thread(lambda: list(_actions(ls, params, *audited)))

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def hover(ls: Server, params: types.HoverParams) -> types.Hover | None:
        audited = await ls.audited(params.text_document.uri)
        if audited is None:
            return None
        opened, document = audited
        part = opened.part_of(params.text_document.uri)
        names = document.rules_at(part, ls.place_of(document, part, params.position))
        return _pages(ls, names) if names else None

    return server


def _actions(
    ls: Server, params: types.CodeActionParams, opened: _Open, document: Document
) -> Iterator[types.CodeAction]:
    """Yields what the editor offers at a range: fixes and comments, then to fix all."""
    part = opened.part_of(params.text_document.uri)
    asked = params.context.only

    def made(
        title: str,
        kind: str,
        changes: Sequence[Change],
        found: Found | None = None,
        *,
        is_preferred: bool = False,
    ) -> Iterator[types.CodeAction]:
        if changes:
            yield types.CodeAction(
                title,
                kind,
                [ls.diagnostic(document, found)] if found else None,
                is_preferred=is_preferred or None,
                edit=ls.edit(opened, document, changes),
            )

    if _is_asked(types.CodeActionKind.QuickFix, asked):
        here = [f for f in document.found if f.part == part and _meets(ls, document, f, params)]
        # Safe fixes come first; for equals the order of their places stays.
        for found in sorted(here, key=lambda f: f.finding.fix is None or not f.finding.fix.safe):
            finding, fix = found.finding, found.finding.fix
            if fix is not None:
                unsafe = "" if fix.safe else " (unsafe: may change behaviour)"
                yield from made(
                    f"{finding.code}: {fix.does}{unsafe}",
                    types.CodeActionKind.QuickFix,
                    document.fix(finding),
                    found,
                    is_preferred=fix.safe,
                )
        for found in here:
            finding = found.finding
            if finding.name not in NOT_IGNORED:
                yield from made(
                    f"{finding.code}: ignore {finding.name} on this line",
                    types.CodeActionKind.QuickFix,
                    document.ignore(finding),
                    found,
                )
    if _is_asked(FIX_ALL, asked) and any(_is_safe(f.finding) for f in document.found):
        yield from made("torchdropout: fix all that is safe to fix", FIX_ALL, document.fix_all)


def _is_safe(finding: SourceFinding) -> bool:
    return finding.fix is not None and finding.fix.safe


def _meets(ls: Server, document: Document, found: Found, params: types.CodeActionParams) -> bool:
    """Whether a finding and the range that was asked about have a place in common."""
    span = ls.range_of(document, found.part, found.start, found.end)
    return _key(span.start) <= _key(params.range.end) and _key(params.range.start) <= _key(span.end)


def _key(position: types.Position) -> Place:
    return position.line, position.character


def _is_asked(kind: str, asked: Sequence[str] | None) -> bool:
    """Whether an editor wants actions of a kind: it names kinds that contain others, by dots."""
    return not asked or any(kind == one or kind.startswith(f"{one}.") for one in asked)


def _is_python(document: TextDocument) -> bool:
    return document.language_id == _PYTHON or document.path.endswith((".py", ".pyi"))


def _pages(ls: Server, names: Sequence[str]) -> types.Hover:
    """Returns the pages of rules, as Markdown where the editor shows it."""
    text = ls.client_capabilities.text_document
    known = (text.hover.content_format if text and text.hover else None) or ()
    rules = [RULES[name] for name in names]
    if not known or types.MarkupKind.Markdown in known:
        page = "\n---\n\n".join(map(render_rule_markdown, rules))
        return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, page))
    page = "\n\n".join(map(render_rule, rules))
    return types.Hover(types.MarkupContent(types.MarkupKind.PlainText, page))
