"""The language server: findings, fixes and the rules' pages in an editor.

It needs pygls, which the extra `lsp` installs; nothing else imports this module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress as suppressed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from lsprotocol import types
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path, urlparse
from pygls.workspace import TextDocument

from ._version import __version__
from .comments import NOT_IGNORED, add_ignores, suppress
from .files import NOT_SOURCE
from .findings import SourceFinding
from .fix import apply_fixes, fix_all
from .limit import TooLongError, within
from .lines import Lines
from .patterns import Patterns
from .registry import RULES, UNUSED_IGNORE, chosen
from .reporting.command import WRONG
from .reporting.rules import render_rule_markdown
from .run import MOST_SECONDS, may_break_a_rule, reported, too_long
from .settings import TABLE
from .source import audit_text

FIX_ALL = "source.fixAll.torchdropout"

_PAUSE = 0.2  # seconds without a change before a document is audited
_SEVERITY = {
    "error": types.DiagnosticSeverity.Error,
    "advice": types.DiagnosticSeverity.Warning,
}
_BYTES = {"utf-8": ("utf-8", 1), "utf-16": ("utf-16-le", 2), "utf-32": ("utf-32-le", 4)}


def serve() -> None:
    """Runs the server on stdin and stdout until the editor ends it."""
    make_server().start_io()


@dataclass
class Audited:
    """A text and its findings.

    Attributes:
        text: The text.
        version: The editor's number for it.
        units: The encoding whose units the editor counts in a line.
        rules: Names of the rules that apply.
        name: The name of the document.
        found: What was found, by place.
    """

    text: str
    version: int | None
    units: str
    rules: frozenset[str] = frozenset()
    name: str = ""
    found: Sequence[SourceFinding] = ()

    @cached_property
    def lines(self) -> Lines:
        """Its lines, as Python's parser and editors count them."""
        return Lines(self.text)

    def audit(self, text: str) -> list[SourceFinding]:
        """Returns the findings of a text in place of this one."""
        with within(MOST_SECONDS):
            found = audit_text(text, self.name, self.rules)
            return suppress(found, text, self.name, self.rules)

    def position(self, line: int, column: int) -> types.Position:
        """Returns the editor's position of a character, counted from 0."""
        starts = self.lines.starts
        start = starts[min(line, len(starts) - 1)]
        codec, size = _BYTES[self.units]
        before = self.text[start : start + column]
        return types.Position(line, len(before.encode(codec, "surrogatepass")) // size)

    def range_of(self, finding: SourceFinding) -> types.Range:
        """Returns where a finding is."""
        return types.Range(
            self.position(finding.line - 1, finding.column - 1),
            self.position(finding.end_line - 1, finding.end_column - 1),
        )

    def at(self, span: types.Range) -> list[SourceFinding]:
        """Returns the findings that have a place in common with a range."""
        places = ((finding, self.range_of(finding)) for finding in self.found)
        return [f for f, place in places if place.start <= span.end and span.start <= place.end]

    def edit(self, new: str) -> types.TextEdit:
        """Returns the edit that makes the text another one, as small as one edit can be."""
        old = self.text
        start = _common(old, new)
        end = _common(old[start:][::-1], new[start:][::-1])

        def position(offset: int) -> types.Position:
            line, column = self.lines.place(offset)
            return self.position(line - 1, column - 1)

        span = types.Range(position(start), position(len(old) - end))
        return types.TextEdit(span, new[start : len(new) - end])


def _common(one: str, other: str) -> int:
    """Returns how many first characters are the same."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


class Server(LanguageServer):
    """The server, and what is open."""

    def __init__(self) -> None:
        # Whole texts are sent: pygls applies partial changes to lines that end at a form feed, too.
        kind = types.TextDocumentSyncKind.Full
        super().__init__("torchdropout-audit", __version__, text_document_sync_kind=kind)
        self._audited: dict[str, Audited] = {}
        self._turns: dict[str, object] = {}  # the last request for each document
        self._said: set[str] = set()

    async def show(self, uri: str, pause: float = 0.0) -> None:
        """Audits a document, and shows what is found.

        Args:
            uri: The document.
            pause: Seconds to wait; a further request in this time takes the place of this one.
        """
        self._turns[uri] = turn = object()
        await asyncio.sleep(pause)
        if self._turns.get(uri) is not turn:
            return
        audited = self.audited(uri)
        if audited is not None:
            shown = [_diagnostic(audited, finding) for finding in audited.found]
            self._publish(uri, audited.version, shown)

    def audited(self, uri: str) -> Audited | None:
        """Returns a document as it is now, audited; None if it is not Python or not open."""
        document = self.workspace.text_documents.get(unquote(uri))
        if document is None or not _is_python(document):
            return None
        known = self._audited.get(uri)
        if known is None or known.text != document.source:
            units = str(self.workspace.position_codec.encoding)
            known = Audited(document.source, document.version, units)
            problem = self._audit(uri, known)
            if problem and problem not in self._said:
                self._said.add(problem)
                said = f"torchdropout: {problem}"
                self.window_show_message(types.ShowMessageParams(types.MessageType.Error, said))
            self._audited[uri] = known
        return known

    def forget(self, uri: str) -> None:
        """Forgets what was found in a document."""
        self._audited.pop(uri, None)
        self._said.clear()

    def close(self, uri: str) -> None:
        """Removes what is shown in a document that was closed."""
        self.forget(uri)
        self._turns.pop(uri, None)
        self._publish(uri, None, [])

    def _publish(self, uri: str, version: int | None, found: list[types.Diagnostic]) -> None:
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(uri, found, version=version)
        )

    def _audit(self, uri: str, document: Audited) -> str:
        """Audits a document by the settings of the folder that it is in; returns a problem."""
        document.name = urlparse(uri)[2]
        try:
            document.name, document.rules = self._name_and_rules(uri)
            is_of_interest = may_break_a_rule(document.text.encode(errors="surrogatepass"))
            if document.rules and is_of_interest:
                document.found = reported(document.audit(document.text))
        except WRONG as error:  # of the settings: as the command, audit nothing
            return str(error)
        except TooLongError:
            return too_long(document.name)
        except Exception as error:  # a fault in a rule: the server goes on
            return f"{document.name}: the audit failed: {type(error).__name__}: {error}"
        return ""

    def _name_and_rules(self, uri: str) -> tuple[str, frozenset[str]]:
        """Returns the name of a document, and the rules that apply to it."""
        said = [to_fs_path(folder.uri) for folder in self.workspace.folders.values()]
        folders = sorted((Path(each) for each in said if each), key=lambda each: -len(each.parts))
        file = to_fs_path(uri) or ""
        path = Path(file)
        # Not saved yet, or on another machine, which is not asked for settings.
        is_here = path.is_absolute() and not file.startswith(("//", "\\\\"))
        holding = [folder for folder in folders if is_here and path.is_relative_to(folder)]
        base = holding[0] if holding else None
        if base is not None and not NOT_SOURCE.isdisjoint(path.relative_to(base).parts[:-1]):
            return file, frozenset()
        start = path.parent if is_here else [*folders, Path.cwd()][0]
        table = TABLE.find(start)
        read = {} if table is None else TABLE.read(table)
        root = start if table is None else table.parent
        rules = chosen(read.get("select", ()), read.get("ignore", ()))
        if not is_here:
            return urlparse(uri)[2], rules
        if Patterns(root, (*read.get("exclude", ()), *read.get("extend-exclude", ())))(file):
            return file, frozenset()
        for pattern, names in read.get("per-file-ignores", {}).items():
            rules -= names if Patterns(root, [pattern])(file) else set()
        base = base or root
        return str(path.relative_to(base)) if path.is_relative_to(base) else file, rules


def make_server() -> Server:
    """Returns a server with all its features, not yet started."""
    server = Server()

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    async def opened(ls: Server, params: types.DidOpenTextDocumentParams) -> None:
        await ls.show(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    async def changed(ls: Server, params: types.DidChangeTextDocumentParams) -> None:
        await ls.show(params.text_document.uri, _PAUSE)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    async def saved(ls: Server, params: types.DidSaveTextDocumentParams) -> None:
        ls.forget(params.text_document.uri)  # the settings may have changed
        await ls.show(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def closed(ls: Server, params: types.DidCloseTextDocumentParams) -> None:
        ls.close(params.text_document.uri)

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions(code_action_kinds=[types.CodeActionKind.QuickFix, FIX_ALL]),
    )
    def code_actions(ls: Server, params: types.CodeActionParams) -> list[types.CodeAction] | None:
        audited = ls.audited(params.text_document.uri)
        return None if audited is None else list(_actions(params, audited))

    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(ls: Server, params: types.HoverParams) -> types.Hover | None:
        audited = ls.audited(params.text_document.uri)
        at = types.Range(params.position, params.position)
        names = dict.fromkeys(f.name for f in audited.at(at)) if audited is not None else ()
        pages = "\n---\n\n".join(render_rule_markdown(RULES[name]) for name in names)
        markup = types.MarkupContent(types.MarkupKind.Markdown, pages)
        return types.Hover(markup) if pages else None

    return server


def _diagnostic(audited: Audited, finding: SourceFinding) -> types.Diagnostic:
    """Returns what the editor shows of a finding."""
    return types.Diagnostic(
        audited.range_of(finding),
        finding.said,
        _SEVERITY[finding.severity],
        code=finding.code,
        source="torchdropout",
        tags=[types.DiagnosticTag.Unnecessary] if finding.code == UNUSED_IGNORE.code else None,
    )


def _actions(params: types.CodeActionParams, audited: Audited) -> Iterator[types.CodeAction]:
    """Yields what the editor offers at a range: fixes and comments, then to fix all."""
    asked = params.context.only
    text = audited.text

    def made(title: str, new: str, found: SourceFinding | None = None) -> types.CodeAction:
        kind = FIX_ALL if found is None else types.CodeActionKind.QuickFix
        shown = None if found is None else [_diagnostic(audited, found)]
        edit = types.WorkspaceEdit({params.text_document.uri: [audited.edit(new)]})
        return types.CodeAction(title, kind, shown, edit=edit)

    if _is_asked(types.CodeActionKind.QuickFix, asked):
        here = audited.at(params.range)
        for found in here:
            if found.fix is not None:
                unsafe = "" if found.fix.safe else " (unsafe: may change behaviour)"
                new, count = apply_fixes(text, [found], unsafe=True)
                action = made(f"{found.code}: {found.fix.does}{unsafe}", new, found)
                action.is_preferred = found.fix.safe or None
                yield from [action] if count else []
        for found in here:
            if found.name not in NOT_IGNORED:
                new, count = add_ignores(text, [found])
                action = made(f"{found.code}: ignore {found.name} on this line", new, found)
                yield from [action] if count else []
    if _is_asked(FIX_ALL, asked) and any(f.fix is not None and f.fix.safe for f in audited.found):
        with suppressed(TooLongError):  # of what the fixes make
            new = fix_all(text, audited.audit)[0]
            yield made("torchdropout: fix all that is safe to fix", new)


def _is_asked(kind: str, asked: Sequence[str] | None) -> bool:
    """Whether an editor wants actions of a kind: it names kinds that contain others, by dots."""
    return not asked or any(kind == one or kind.startswith(f"{one}.") for one in asked)


def _is_python(document: TextDocument) -> bool:
    return document.language_id == "python" or document.path.endswith((".py", ".pyi"))
