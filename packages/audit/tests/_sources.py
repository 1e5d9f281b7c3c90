"""The sources of the audit in another place, as a clone of the repository has them."""

import shutil
from pathlib import Path

from torchdropout_audit.run import audit_paths

ROOT = Path(__file__).parents[3]
AUDIT = ROOT / "packages" / "audit"


def copy_sources(clone):
    """Copy the distribution, and of the library what its links point to."""
    shutil.copytree(AUDIT, clone / "packages" / "audit", symlinks=True)
    for link in (AUDIT / "src").rglob("*"):
        if link.is_symlink():
            target = link.resolve()
            copy = clone / target.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if target.is_dir() else shutil.copy)(target, copy)


def findings_in(folder, files, path, rule):
    """Write the files of a project, and audit one of them by one rule.

    Args:
        folder: An empty folder.
        files: The text of each file, by its path.
        path: The file that is audited.
        rule: The rule.

    Returns:
        The line and the severity of each finding.
    """
    (folder / "setup.py").write_text("")
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    report = audit_paths([folder / path], rules=[rule], cache=False)
    assert report.problems == ()
    return [(each.line, each.severity) for each in report.findings]
