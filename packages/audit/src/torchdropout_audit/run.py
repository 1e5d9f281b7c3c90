"""Audits files: finds them, reads them in parallel, remembers what was found, fixes."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from .cache import Cache, cache_folder, key_of
from .comments import suppress
from .files import UNREADABLE, UnreadableError, find_files, read_source, why, write_over
from .findings import SourceFinding, SourceReport
from .fix import fix_all, without_tried
from .notebooks import Notebook
from .patterns import Patterns
from .registry import RULES, SYNTAX_ERROR
from .reporting.findings import Rule
from .source import audit_text
from .workers import CrashError, NoWorkerError, can_start, run_all

WORDS = (
    b"ropout",
    b"rop_path",
    b"ropPath",
    b"ropBlock",
    b"rop_block",
    b"tochasticDepth",
    b"tochastic_depth",
    b"scaled_dot_product_attention",
    b"efficient_attention",
    b"attn_func",
    b"preserve_rng_state",
    b"LSTM",
    b"GRU",
    b"RNN",
    b"MultiheadAttention",
    b"TransformerEncoder",
    b"TransformerDecoder",
    b"Transformer(",
)
"""A file that holds none of these breaks no rule, and is not parsed."""

MOST = 2_000_000
"""Characters of the longest source that is parsed: its tree takes up to 300 bytes for each."""

_WORTH_A_PROCESS = 400_000  # bytes to parse, below which a process takes longer to start than to do
_WORTH_COLLECTING = 300_000  # bytes, of which the trees may wait to be freed
_MOST_JOBS = 8


def may_break_a_rule(data: bytes) -> bool:
    """Whether a file holds a word without which no rule has anything to say.

    Example:
        >>> may_break_a_rule(b"import os"), may_break_a_rule(b"nn.Dropout(.1)")
        (False, True)
    """
    if any(word in data for word in WORDS):
        return True
    # A loop that leaves a model in eval mode: any model.
    leaves_training = b".eval(" in data or b".train(False" in data
    return leaves_training and (b"backward" in data or b".step(" in data)


def audit_paths(
    paths: Sequence[str | Path],
    *,
    rules: Collection[str] | None = None,
    exclude: Sequence[str] = (),
    per_file_ignores: Mapping[str, Collection[str]] | None = None,
    root: str | Path | None = None,
    respect_gitignore: bool = True,
    jobs: int | None = None,
    cache: bool = True,
    fix: Literal["safe", "unsafe"] | None = None,
    changed: Callable[[str, str, str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SourceReport:
    """Audits files and folders.

    Files without a word that a rule could mean are not parsed; what was found before in a file
    that has not changed is remembered; and where there is much to parse, processes share it.

    Args:
        paths: What to audit, as `find_files` takes it.
        rules: Names of the rules to apply; all of them with None.
        exclude: Patterns in the manner of a `.gitignore`: what is not audited.
        per_file_ignores: Names of rules that are not applied to the files a pattern names.
        root: The folder that patterns are relative to; the current one with None.
        respect_gitignore: False to audit what git ignores.
        jobs: How many processes may work; with None as many as there are processors, up to 8.
        cache: Whether to remember what is found.
        fix: Whether to fix files: what can only be meant so, or whatever can be fixed.
        changed: Called with the path, the old text and the new one of each file that `fix` would
            change, instead of writing it.
        progress: Called with how many files are done, and of how many, as the work goes on.

    Returns:
        The report. Ctrl-C ends the run with what there is: the report is not complete.

    Example:
        >>> audit_paths(["no/such/place"], cache=False).problems
        ('no/such/place: no such file or folder',)
    """
    began = time.monotonic()
    run = _Run(rules, per_file_ignores or {}, root or Path.cwd(), fix, changed, progress)
    complete = True
    try:
        files, problems = find_files(
            paths, exclude=exclude, root=root, respect_gitignore=respect_gitignore
        )
    except KeyboardInterrupt:
        return SourceReport((), 0, seconds=time.monotonic() - began, complete=False)
    with Cache(cache_folder() if cache else None) as remembered:
        try:
            run.audit(files, remembered, jobs or _processors())
        except KeyboardInterrupt:
            complete = False
    outcomes = [run.outcomes[path] for path in files if path in run.outcomes]
    return SourceReport(
        tuple(finding for outcome in outcomes for finding in outcome.findings),
        sum(outcome.is_audited for outcome in outcomes),
        (*problems, *(outcome.problem for outcome in outcomes if outcome.problem)),
        time.monotonic() - began,
        sum(outcome.fixed for outcome in outcomes),
        complete,
    )


def audit_data(
    data: bytes,
    path: str,
    *,
    rules: Collection[str] | None = None,
    per_file_ignores: Mapping[str, Collection[str]] | None = None,
    root: str | Path | None = None,
    fix: Literal["safe", "unsafe"] | None = None,
    changed: Callable[[str, str, str], None] | None = None,
) -> tuple[SourceReport, bytes]:
    """Audits what a file holds, or would hold: nothing is read or written.

    Args:
        data: The bytes of a Python source or, where the path ends so, a notebook.
        path: Its path, for the findings and for `per_file_ignores`.
        rules: As for `audit_paths`.
        per_file_ignores: As for `audit_paths`.
        root: As for `audit_paths`.
        fix: As for `audit_paths`.
        changed: As for `audit_paths`; where it is given, the report is of the data as they are.

    Returns:
        The report, and the data, fixed where they are to be.

    Example:
        >>> audit_data(b"x = 1", "<stdin>")[0].findings
        ()
    """
    began = time.monotonic()
    run = _Run(rules, per_file_ignores or {}, root or Path.cwd(), fix, changed, None)
    outcome = run.audit_data(path, data)
    change = outcome.change
    if change is not None and changed is not None:
        changed(path, change.old_text, change.new_text)
    else:
        if change is not None:
            data, outcome = change.new, replace(change.after, fixed=change.fixed)
        outcome = run.tried(outcome)
    report = SourceReport(
        outcome.findings,
        int(outcome.is_audited),
        (outcome.problem,) if outcome.problem else (),
        time.monotonic() - began,
        outcome.fixed,
    )
    return report, data


@dataclass(frozen=True)
class _Task:
    """A file, and what is to be done with it."""

    path: str
    rules: frozenset[str]
    fix: Literal["safe", "unsafe"] | None = None
    size: int = 0


@dataclass(frozen=True)
class _Change:
    """What fixing makes of a file."""

    old: bytes
    new: bytes
    old_text: str
    new_text: str
    fixed: int
    after: _Outcome


@dataclass(frozen=True)
class _Outcome:
    """What came of a file."""

    findings: tuple[SourceFinding, ...] = ()
    problem: str = ""
    is_audited: bool = True
    key: bytes = b""
    change: _Change | None = None
    fixed: int = 0


class _Run:
    """One audit: the files that are done, under their paths."""

    def __init__(
        self,
        rules: Collection[str] | None,
        per_file_ignores: Mapping[str, Collection[str]],
        root: str | Path,
        fix: Literal["safe", "unsafe"] | None,
        changed: Callable[[str, str, str], None] | None,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._rules = frozenset(RULES if rules is None else rules)
        self._ignores = [
            (Patterns(Path(root), [pattern]), frozenset(names))
            for pattern, names in per_file_ignores.items()
        ]
        self._fix = fix
        self._changed = changed
        self._progress = progress
        self._total = 0
        self.outcomes: dict[str, _Outcome] = {}

    def audit(self, files: Sequence[str], cache: Cache, jobs: int) -> None:
        """Audits files, in no order; `outcomes` holds what is done."""
        self._total = len(files)
        tasks = [task for path in files if (task := self._begun(path, cache)) is not None]
        # The longest first: then no process has one left when the others have ended.
        tasks.sort(key=lambda task: task.size, reverse=True)
        for task, outcome in _outcomes(tasks, jobs):
            if outcome.key:
                cache.put(outcome.key, outcome.findings)
            self._end(task.path, self._written(task, outcome, cache))

    def audit_data(self, path: str, data: bytes) -> _Outcome:
        """Audits what a file holds, and fixes it; nothing is read or written."""
        task = _Task(path, self._rules_for(path), self._fix)
        try:
            return _audited(task, data)
        except Exception as error:
            return _failed(path, error)

    def _rules_for(self, path: str) -> frozenset[str]:
        ignored = {name for names in self._ignores if names[0](path) for name in names[1]}
        return self._rules - ignored

    def _begun(self, path: str, cache: Cache) -> _Task | None:
        """What is left to do for a file; None where it is done."""
        rules = self._rules_for(path)
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            self._end(path, _Outcome(problem=f"{path}: {why(error)}", is_audited=False))
            return None
        if not may_break_a_rule(data):
            self._end(path, _Outcome())
            return None
        known = cache.get(key_of(data, path, rules))
        if known is None or (self._fix and any(_is_fixable(f, self._fix) for f in known)):
            return _Task(path, rules, self._fix, len(data))
        self._end(path, _Outcome(tuple(known)))
        return None

    def _written(self, task: _Task, outcome: _Outcome, cache: Cache) -> _Outcome:
        """The outcome after the file is fixed, where it is to be."""
        change = outcome.change
        if change is None:
            return self.tried(outcome)
        if self._changed is not None:
            self._changed(task.path, change.old_text, change.new_text)
            return outcome
        try:
            is_written = write_over(task.path, change.old, change.new)
        except OSError as error:
            return replace(outcome, problem=f"{task.path}: not fixed: {why(error)}")
        if not is_written:
            return replace(outcome, problem=f"{task.path}: not fixed: it has just changed")
        cache.put(change.after.key, change.after.findings)
        return self.tried(replace(change.after, fixed=change.fixed))

    def tried(self, outcome: _Outcome) -> _Outcome:
        """The outcome without the fixes that were tried and left what they should fix."""
        if self._fix is None:
            return outcome
        return replace(outcome, findings=without_tried(outcome.findings, self._fix == "unsafe"))

    def _end(self, path: str, outcome: _Outcome) -> None:
        self.outcomes[path] = outcome
        if self._progress is not None:
            self._progress(len(self.outcomes), self._total)


def _outcomes(tasks: Sequence[_Task], jobs: int) -> Iterator[tuple[_Task, _Outcome]]:
    """Does tasks, in processes where that is worth it."""
    jobs = min(jobs, len(tasks))
    left = {task.path: task for task in tasks}
    if jobs > 1 and can_start() and sum(task.size for task in tasks) > _WORTH_A_PROCESS:
        try:
            for task, outcome in run_all(audit_file, tasks, jobs):
                del left[task.path]
                yield task, _crashed(task, outcome) if isinstance(outcome, CrashError) else outcome
        except NoWorkerError:
            pass  # what is left is done here
    for task in left.values():
        yield task, audit_file(task)


def _failed(path: str, error: Exception) -> _Outcome:
    said = f"{type(error).__name__}: {error}"
    return _Outcome(problem=f"{path}: the audit failed: {said}", is_audited=False)


def _crashed(task: _Task, error: CrashError) -> _Outcome:
    return _Outcome(problem=f"{task.path}: the parser crashed: {error}", is_audited=False)


def audit_file(task: _Task) -> _Outcome:
    """Audits one file, and fixes its text where asked; writes nothing, and raises nothing."""
    path = task.path
    try:
        with _collected_seldom(task.size):
            return _audited(task, Path(path).read_bytes())
    except OSError as error:
        return _Outcome(problem=f"{path}: {why(error)}", is_audited=False)
    except Exception as error:  # a fault of a rule's: the other files are audited
        return _failed(path, error)


_uncollected = 0


@contextmanager
def _collected_seldom(size: int) -> Iterator[None]:
    """Keeps the garbage collector from looking through a tree that is still growing.

    It would take as long as the parser and more, and find nothing.
    """
    global _uncollected
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        _uncollected += size
        if _uncollected > _WORTH_COLLECTING:
            _uncollected = 0
            gc.collect()
        if was_enabled:
            gc.enable()


def _audited(task: _Task, data: bytes) -> _Outcome:
    path = task.path
    key = key_of(data, path, task.rules)
    try:
        is_notebook = path.endswith(".ipynb")
        source = read_source(data, is_python=not is_notebook)
        notebook = Notebook(source) if is_notebook else None
    except UnreadableError as error:
        return _Outcome((_wrong(UNREADABLE, path, str(error), error.line),), key=key)
    text = source.text if notebook is None else notebook.text
    if len(text) > MOST:
        said = f"{len(text):,} characters are more than the {MOST:,} of the longest source audited"
        return _Outcome(problem=f"{path}: {said}", is_audited=False)
    broken = () if notebook is None else _broken_cells(notebook, path)
    found = _found(text, task)

    findings = sorted((*broken, *found), key=lambda f: (f.line, f.column, f.code))
    placed = findings if notebook is None else map(notebook.placed, findings)
    outcome = _Outcome(tuple(placed), key=key)
    if task.fix is None:
        return outcome
    fixed = fix_all(text, lambda new: _found(new, task), task.fix == "unsafe")
    if not fixed.count:
        return outcome
    new = fixed.text
    try:
        new_text = new if notebook is None else notebook.fixed(new)
        new_data = source.encoded(new_text)
    except ValueError as error:  # a character that the file's encoding lacks; cells without bounds
        return replace(outcome, problem=f"{path}: not fixed: {error}")
    after = _audited(replace(task, fix=None), new_data)
    change = _Change(data, new_data, source.text, new_text, fixed.count, after)
    return replace(outcome, change=change)


def _found(text: str, task: _Task) -> list[SourceFinding]:
    found = audit_text(text, task.path, task.rules)
    return suppress(found, text, task.path, task.rules)


def _broken_cells(notebook: Notebook, path: str) -> tuple[SourceFinding, ...]:
    """Of cells that do not parse: no more than advice, for a notebook may hold a sketch."""
    return tuple(
        replace(
            _wrong(SYNTAX_ERROR, path, error.msg, line),
            severity="advice",
            source=(error.text or "").rstrip("\r\n"),
        )
        for line, error in notebook.broken.items()
    )


def _wrong(rule: Rule, path: str, message: str, line: int) -> SourceFinding:
    return SourceFinding(path, line, 1, line, 1, rule.code, rule.name, rule.severity, message)


def _is_fixable(finding: SourceFinding, fix: str) -> bool:
    return finding.fix is not None and (finding.fix.safe or fix == "unsafe")


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(count, _MOST_JOBS)
