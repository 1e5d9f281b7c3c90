"""The sources of the audit in another place, as a clone of the repository has them."""

import shutil
from pathlib import Path

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
