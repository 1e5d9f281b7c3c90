"""Renders reports as SARIF 2.1.0, which code scanning services read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from ..findings import SourceFinding, SourceReport
from ..reporting.findings import Rule
from ..reporting.rules import fix_in_markdown
from ._words import ascii_json

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVEL = {"error": "error", "advice": "warning"}


def render_sarif(report: SourceReport, rules: Sequence[Rule], version: str) -> str:
    """Renders a report as an ASCII SARIF log.

    Args:
        report: What to render.
        rules: All rules that findings may refer to.
        version: The version of the audit.

    Returns:
        JSON text. Paths that are not absolute are relative to `%SRCROOT%`. The region of a finding
        in a notebook is the line in its JSON text; the message names the cell and the line in it.

    Reference:
        OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0", 2020.
    """
    places = {rule.code: place for place, rule in enumerate(rules)}
    problems = [{"level": "error", "message": {"text": problem}} for problem in report.problems]
    run = {
        "tool": {
            "driver": {
                "name": "torchdropout",
                "version": version,
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {"executionSuccessful": report.complete, "toolExecutionNotifications": problems}
        ],
        "results": [_result(finding, places) for finding in report.findings],
    }
    return ascii_json({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _rule(rule: Rule) -> dict[str, Any]:
    text = f"{rule.summary}\n\n{rule.explain}"
    fix = f"\n\n{fix_in_markdown(rule, whole=True)}" if rule.broken else ""
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.explain},
        "defaultConfiguration": {"level": _LEVEL[rule.severity]},
        "properties": {"tags": ["dropout", rule.group]},
        "help": {"text": text, "markdown": text + fix},
    }


def _result(finding: SourceFinding, places: dict[str, int]) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": _file(finding.path)}
    location: dict[str, Any] = {"physicalLocation": physical}
    if finding.cell:
        location["logicalLocations"] = [{"fullyQualifiedName": f"cell {finding.cell}"}]
        physical["region"] = {"startLine": finding.file_line}
    else:
        physical["region"] = {
            "startLine": finding.line,
            "startColumn": finding.column,
            "endLine": finding.end_line,
            "endColumn": finding.end_column,
        }
    made: dict[str, Any] = {
        "ruleId": finding.code,
        "level": _LEVEL[finding.severity],
        "message": {"text": finding.said},
        "locations": [location],
    }
    if finding.code in places:
        made["ruleIndex"] = places[finding.code]
    if finding.fix is not None and not finding.cell:
        replacements = [
            {
                "deletedRegion": {"charOffset": edit.start, "charLength": edit.end - edit.start},
                "insertedContent": {"text": edit.text},
            }
            for edit in finding.fix.edits
        ]
        change = {"artifactLocation": _file(finding.path), "replacements": replacements}
        made["fixes"] = [{"description": {"text": finding.fix.does}, "artifactChanges": [change]}]
    return made


def _file(path: str) -> dict[str, str]:
    where = PurePath(path)
    if where.is_absolute():
        return {"uri": where.as_uri()}
    name = os.fsencode(where.as_posix())  # it may hold bytes that are not text
    return {"uri": quote(name), "uriBaseId": "%SRCROOT%"}
