"""Audits files in parallel, with a cache, and fixes them."""

from __future__ import annotations

import errno
import gc
import itertools
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from .cache import Cache, asking_key_of, folder_for, key_of
from .comments import NOT_IGNORED, add_ignores, suppress
from .dependencies import Asked
from .files import (
    MOST_BYTES,
    UNREADABLE,
    UnreadableError,
    find_files,
    leads_out,
    read_source,
    why,
    write_over,
)
from .findings import SourceFinding, SourceReport, excerpt
from .fix import fix_all, is_fixable, without_tried
from .limit import TooLongError, within
from .notebooks import Notebook
from .patterns import Patterns
from .project import Project, project_of
from .registry import RULES, SYNTAX_ERROR
from .reporting.findings import Rule
from .reporting.reading import read_bytes
from .source import CutError, audit_rules
from .workers import CrashError, NoWorkerError, can_start, run_all

Fixing = Literal["safe", "unsafe", "ignores"]
"""How files are changed: by safe fixes, by all fixes, or by comments that silence what is found."""

WORDS = (
    *(b"ropout", b"rop_path", b"rop_prob", b"rop_rate", b"roprate", b"rop_out", b"_drop"),
    *(b"drop_p", b"drop=0", b"drop: float", b"pdrop", b"wdrop", b"ropRat", b"ropPro"),
    *(b"ropConnect", b"keep_prob", b"ropPath", b"ropBlock", b"rop_block", b"tochasticDepth"),
    *(b"tochastic_depth", b"scaled_dot_product_attention", b"efficient_attention", b"attn_func"),
    *(b"LSTM", b"GRU", b"RNN", b"TransformerEncoder", b"TransformerDecoder", b"Transformer("),
    *(b"MultiheadAttention", b"preserve_rng_state"),
)
"""A file that contains none of these breaks no rule, and is not parsed."""

_OVERRIDES = re.compile(rb"\bdef\s+train\s*\(")

MOST = 2_000_000
"""Characters of the longest source that is parsed; its tree takes up to 300 bytes for each."""

MOST_SECONDS = 20.0
"""Seconds of the processor that a file may take; one of 2,000,000 characters takes up to 10."""

MOST_FINDINGS = 1_000
"""Findings of a file that are reported."""

_WORTH_A_PROCESS = 400_000  # bytes to parse that take about as long as starting a process
_LONG = 200_000  # bytes of a file that is begun before others
_MOST_JOBS = 8


def may_break_a_rule(data: bytes) -> bool:
    """Whether a file contains a word that every rule needs.

    Example:
        >>> may_break_a_rule(b"import os"), may_break_a_rule(b"nn.Dropout(.1)")
        (False, True)
    """
    data = data.replace(b"\0", b"")  # of UTF-16, which Python does not read: it is reported
    if any(word in data for word in WORDS):
        return True
    # For eval-not-restored and train-overridden, which are about any model.
    if b".eval(" in data or b".train(False" in data or b".train(mode=False" in data:
        return any(word in data for word in (b"def ", b"backward", b".step("))
    is_module = b"torch" in data or b"Module" in data
    return is_module and _OVERRIDES.search(data) is not None


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
    fix: Fixing | None = None,
    changed: Callable[[str, str, str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SourceReport:
    """Audits files and folders.

    Files that mention nothing a rule is about are not parsed, findings of unchanged files come from
    a cache, and where there is much to parse, processes share the work.

    Args:
        paths: Files and folders.
        rules: Names of the rules to apply; with None, all.
        exclude: Patterns, as in a `.gitignore`, of what is not audited.
        per_file_ignores: For a pattern, names of rules that do not apply to files it matches.
        root: The folder that patterns are relative to; with None, the current one.
        respect_gitignore: False to audit what git ignores.
        jobs: The number of processes; with None, one per processor, at most 8.
        cache: Whether to use and save earlier findings.
        fix: Whether to fix files: `"safe"` where only one thing can be meant, `"unsafe"` where
            there is any fix. `"ignores"` adds comments that silence what is found.
        changed: Called, instead of writing, with the path, the old text and the new text of each
            file that `fix` would change.
        progress: Called with the number of files done and the number of all files.

    Returns:
        The report. After Ctrl-C it holds what was found by then, and is not complete. Nor is it
        where a rule could not be applied to a whole file, or where a file has more than
        `MOST_FINDINGS` findings: those are reported, errors first.

    Example:
        >>> audit_paths(["no/such/place"], cache=False).problems
        ('no/such/place: no such file or folder',)
    """
    began = time.monotonic()
    run = _Run(rules, per_file_ignores, root, fix, changed, progress, paths)
    files: list[str] = []
    problems: list[str] = []
    interrupted = False
    try:
        files, problems = find_files(
            paths, exclude=exclude, root=root, respect_gitignore=respect_gitignore
        )
        with Cache(folder_for(paths) if cache else None) as remembered:
            run.audit(files, remembered, jobs or _processors())
    except KeyboardInterrupt:
        interrupted = True
    outcomes = [run.outcomes[path] for path in files if path in run.outcomes]
    return _report(outcomes, began, fix, problems, interrupted)


def audit_data(
    data: bytes,
    path: str,
    *,
    rules: Collection[str] | None = None,
    per_file_ignores: Mapping[str, Collection[str]] | None = None,
    root: str | Path | None = None,
    fix: Fixing | None = None,
    changed: Callable[[str, str, str], None] | None = None,
) -> tuple[SourceReport, bytes]:
    """Audits the content of a file; reads and writes no file.

    Args:
        data: The bytes of a Python source or, if the path ends in `.ipynb`, of a notebook.
        path: The path, for the findings and for `per_file_ignores`.
        rules: As for `audit_paths`.
        per_file_ignores: As for `audit_paths`.
        root: As for `audit_paths`.
        fix: As for `audit_paths`.
        changed: As for `audit_paths`; if it is given, the report is of the data before the fixes.

    Returns:
        The report, and the data after the fixes.

    Example:
        >>> audit_data(b"x = 1", "<stdin>")[0].findings
        ()
    """
    began = time.monotonic()
    run = _Run(rules, per_file_ignores, root, fix, changed, None)
    outcome = run.audit_data(path, data)
    change = outcome.change
    if change is not None and changed is not None:
        changed(path, change.old_text, change.new_text)
    else:
        if change is not None:
            data, outcome = change.new, replace(change.after, fixed=change.fixed)
        outcome = run.tried(outcome)
    return _report([outcome], began, fix), data


def _report(
    outcomes: Sequence[_Outcome],
    began: float,
    fix: Fixing | None,
    problems: Sequence[str] = (),
    interrupted: bool = False,
) -> SourceReport:
    fixed = sum(outcome.fixed for outcome in outcomes)
    return SourceReport(
        tuple(finding for outcome in outcomes for finding in outcome.findings),
        sum(outcome.is_audited for outcome in outcomes),
        (*problems, *(outcome.problem for outcome in outcomes if outcome.problem)),
        time.monotonic() - began,
        0 if fix == "ignores" else fixed,
        all(outcome.is_whole for outcome in outcomes) and not interrupted,
        fixed if fix == "ignores" else 0,
        interrupted,
    )


@dataclass(frozen=True)
class _Task:
    """A file to audit; `is_saved` if its content is what other files can read."""

    path: str
    rules: frozenset[str]
    fix: Fixing | None
    size: int
    run: int
    is_saved: bool = True


@dataclass(frozen=True)
class _Change:
    """The file before and after the fixes."""

    old: bytes
    new: bytes
    old_text: str
    new_text: str
    fixed: int
    after: _Outcome


@dataclass(frozen=True)
class _Outcome:
    """The result for a file."""

    findings: tuple[SourceFinding, ...] = ()
    problem: str = ""
    is_audited: bool = True
    key: bytes = b""
    asked: Asked | None = None
    change: _Change | None = None
    fixed: int = 0
    is_whole: bool = True  # all rules were applied to it, and all findings are reported

    def but(self, path: str, said: str) -> _Outcome:
        """Returns the same with a problem, and without a change to write."""
        problem = f"{self.problem}; {said}" if self.problem else f"{path}: {said}"
        return replace(self, problem=problem, change=None)


class _Run:
    """One audit; `outcomes` holds the results by path."""

    def __init__(
        self,
        rules: Collection[str] | None,
        per_file_ignores: Mapping[str, Collection[str]] | None,
        root: str | Path | None,
        fix: Fixing | None,
        changed: Callable[[str, str, str], None] | None,
        progress: Callable[[int, int], None] | None,
        named: Sequence[str | Path] = (),
    ) -> None:
        self._named = named
        self._rules = frozenset(RULES if rules is None else rules)
        self._ignores = [
            (Patterns(Path(root or Path.cwd()), [pattern]), frozenset(names))
            for pattern, names in (per_file_ignores or {}).items()
        ]
        self._fix = fix
        self._changed = changed
        self._progress = progress
        self._number = time.monotonic_ns()
        self.outcomes: dict[str, _Outcome] = {}

    def audit(self, files: Sequence[str], cache: Cache, jobs: int) -> None:
        """Audits files, in no particular order."""
        self._total = len(files)
        tasks = [task for path in files if (task := self._begun(path, cache)) is not None]
        # The longest come first, so that all processes end at about the same time. The others stay
        # in the order of their paths: files that are read for the sake of one another are near.
        tasks.sort(key=lambda task: min(_LONG - task.size, 0))
        for task, outcome in _outcomes(tasks, jobs):
            if outcome.key:
                cache.put(outcome.key, outcome.findings, outcome.asked)
            self._end(task.path, self._written(task, outcome, cache))

    def audit_data(self, path: str, data: bytes) -> _Outcome:
        """Audits the content of a file, and fixes it; reads and writes no file."""
        task = _Task(path, self._rules_for(path), self._fix, len(data), self._number, False)
        return audit_file(task, data)

    def _rules_for(self, path: str) -> frozenset[str]:
        ignored = {name for names in self._ignores if names[0](path) for name in names[1]}
        return self._rules - ignored

    def _begun(self, path: str, cache: Cache) -> _Task | None:
        """Returns what is left to do for a file; None if nothing is."""
        rules = self._rules_for(path)
        try:
            data = read_bytes(path, MOST_BYTES)
        except OSError as error:
            self._end(path, _unread(path, error))
            return None
        if not may_break_a_rule(data):
            self._end(path, _Outcome())
            return None
        key = key_of(data, path, rules)
        known = cache.get(key)
        if known is None:
            project = partial(project_of, path, self._number)
            known = cache.get(asking_key_of(key, path), lambda asked: project().still(asked))
        if known is not None:  # perhaps by another path, from another folder
            known = [replace(finding, path=path) for finding in known]
        if known is None or (self._fix and any(_is_fixable(f, self._fix) for f in known)):
            return _Task(path, rules, self._fix, len(data), self._number)
        self._end(path, _Outcome(tuple(known)))
        return None

    def _written(self, task: _Task, outcome: _Outcome, cache: Cache) -> _Outcome:
        """Writes the fixed file, if there is one, and returns the outcome after that."""
        change = outcome.change
        if change is None:
            return self.tried(outcome)
        if leads_out(task.path, self._named):
            said = f"it is a link to {os.path.realpath(task.path)}, which was not named"
            return outcome.but(task.path, f"not fixed: {said}")
        if self._changed is not None:
            self._changed(task.path, change.old_text, change.new_text)
            return replace(outcome, change=None)
        try:
            is_written = write_over(task.path, change.old, change.new)
        except OSError as error:
            return outcome.but(task.path, f"not fixed: {why(error)}")
        if not is_written:
            return outcome.but(task.path, "not fixed: it has just changed")
        if change.after.key:
            cache.put(change.after.key, change.after.findings)
        return self.tried(replace(change.after, fixed=change.fixed))

    def tried(self, outcome: _Outcome) -> _Outcome:
        """Removes the fixes that were tried and did not help."""
        if self._fix is None or self._fix == "ignores":
            return outcome
        return replace(outcome, findings=without_tried(outcome.findings, self._fix == "unsafe"))

    def _end(self, path: str, outcome: _Outcome) -> None:
        self.outcomes[path] = outcome
        if self._progress is not None:
            self._progress(len(self.outcomes), self._total)


def _outcomes(tasks: Sequence[_Task], jobs: int) -> Iterator[tuple[_Task, _Outcome]]:
    """Runs tasks, in other processes if that is faster or if a file may take much memory."""
    jobs = min(jobs, len(tasks))
    left = {task.path: task for task in tasks}
    if jobs > 1 and sum(task.size for task in tasks) > _WORTH_A_PROCESS:
        apart = tasks
    else:  # the system kills a process when memory runs out: the run goes on without that one
        apart = [task for task in tasks if task.size > _WORTH_A_PROCESS]
    if apart and can_start():
        try:
            for task, outcome in run_all(audit_file, apart, min(jobs, len(apart))):
                del left[task.path]
                if isinstance(outcome, CrashError):
                    said = f"not audited: the process that audited it ended: {outcome}"
                    outcome = _unaudited(task.path, said)
                yield task, outcome
        except NoWorkerError:
            pass  # the rest is done in this process
    for task in left.values():
        yield task, audit_file(task)


def _unaudited(path: str, said: str) -> _Outcome:
    return _Outcome(problem=f"{path}: {said}", is_audited=False)


def _unread(path: str, error: OSError) -> _Outcome:
    said = "not audited: " if error.errno == errno.EFBIG else ""
    return _unaudited(path, said + why(error))


def too_long(path: str) -> str:
    """Says that a file is not audited, as the time is over."""
    return f"{path}: not audited: it takes more than {MOST_SECONDS:g} s of the processor"


def too_many(findings: Sequence[SourceFinding]) -> str:
    """Says that not all findings of a file are reported."""
    return f"{len(findings):,} findings, of which {MOST_FINDINGS:,} are reported, errors first"


def audit_file(task: _Task, data: bytes | None = None) -> _Outcome:
    """Audits one file, and fixes its text on request; writes nothing, and does not raise.

    With None for what is in it, the file is read.
    """
    path = task.path
    try:
        with _uncollected(), within(MOST_SECONDS):
            return _audited(task, read_bytes(path, MOST_BYTES) if data is None else data)
    except OSError as error:
        return _unread(path, error)
    except TooLongError:
        return _Outcome(problem=too_long(path), is_audited=False)
    except Exception as error:  # a fault of the audit: the other files are still audited
        return _unaudited(path, f"the audit failed: {_said(error)}")


@contextmanager
def _uncollected() -> Iterator[None]:
    """Turns the garbage collector off while a tree grows.

    It would take longer than the parser, and find nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
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
        wrong = (_wrong(UNREADABLE, path, str(error), error.line),)
        return _Outcome(wrong if UNREADABLE.name in task.rules else (), key=key)
    text = source.text if notebook is None else notebook.text
    if len(text) > MOST:
        said = f"not audited: {len(text):,} characters, more than the limit of {MOST:,}"
        return _unaudited(path, said)
    is_applied = SYNTAX_ERROR.name in task.rules
    broken = _broken_cells(notebook, path) if notebook is not None and is_applied else ()
    project = project_of(path, task.run)
    found, faults = _found(text, task, project)
    asked = None
    if project.questions:  # other files may change
        asked = project.asked(path) if task.is_saved else None
        key = b"" if asked is None else asking_key_of(key, path)
    findings = sorted((*broken, *found), key=lambda f: (f.line, f.column, f.code))
    kept = reported(findings)
    placed = kept if notebook is None else map(notebook.placed, kept)
    outcome = _Outcome(tuple(placed), key=key, asked=asked, is_whole=len(kept) == len(findings))
    if not outcome.is_whole:
        outcome = outcome.but(path, too_many(findings))
    if faults:
        said = "; ".join(itertools.starmap(_fault, faults.items()))
        outcome = replace(outcome.but(path, said), is_whole=False)
    if outcome.problem:  # not for the cache, which knows of findings alone
        outcome = replace(outcome, key=b"")
    if task.fix is None:
        return outcome
    if task.fix == "ignores":
        new, count = add_ignores(text, found)
    else:
        new, count = fix_all(text, lambda new: _found(new, task, project)[0], task.fix == "unsafe")
    if not count:
        return outcome
    try:
        new_text = new if notebook is None else notebook.fixed(new)
        new_data = source.rewritten(data, new_text)
    except ValueError as error:  # a character that the encoding lacks, or cells without bounds
        return outcome.but(path, f"not fixed: {error}")
    after = _audited(replace(task, fix=None, is_saved=False), new_data)
    change = _Change(data, new_data, source.text, new_text, count, after)
    return replace(outcome, change=change)


def reported(findings: Sequence[SourceFinding]) -> Sequence[SourceFinding]:
    """Returns the findings of a file to report, in their order: of too many the errors first."""
    if len(findings) <= MOST_FINDINGS:
        return findings
    errors_first = sorted(range(len(findings)), key=lambda at: findings[at].severity != "error")
    return [findings[at] for at in sorted(errors_first[:MOST_FINDINGS])]


def _found(
    text: str, task: _Task, project: Project
) -> tuple[list[SourceFinding], dict[str, Exception]]:
    found, faults = audit_rules(text, task.path, task.rules, project)
    applied = task.rules - faults.keys()
    left = suppress(found, text, task.path, applied)
    return [each for each in left if each.name in task.rules], faults


def _fault(name: str, error: Exception) -> str:
    if isinstance(error, CutError):
        return f"{name} was not applied to the whole file: {error}"
    return f"{name} was not applied: {_said(error)}"


def _said(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _broken_cells(notebook: Notebook, path: str) -> tuple[SourceFinding, ...]:
    """Returns advice for cells that do not parse; a notebook may hold sketches."""
    found = []
    for line, error in notebook.broken.items():
        source, _ = excerpt(error.text or "", 0, 1)
        wrong = _wrong(SYNTAX_ERROR, path, error.msg, line)
        found.append(replace(wrong, severity="advice", source=source))
    return tuple(found)


def _wrong(rule: Rule, path: str, message: str, line: int) -> SourceFinding:
    return SourceFinding(path, line, 1, line, 1, rule.code, rule.name, rule.severity, message)


def _is_fixable(finding: SourceFinding, fix: str) -> bool:
    if fix == "ignores":
        return finding.name not in NOT_IGNORED
    return is_fixable(finding, fix == "unsafe")


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    count = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(count, _MOST_JOBS)
