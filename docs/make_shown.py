"""Writes again what the commands on README and Getting started print: `python docs/make_shown.py`.

Each block that begins with `$ torchdropout` is run: those of the README in the repository, those of
the page in a folder with the page's files. The tests hold both to what is printed.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(
    r"^(```(?:console)?\n\$ (torchdropout [^\n]+)\n).*?(^```$)", re.DOTALL | re.MULTILINE
)
FILE = re.compile(r"^```python\n(# (\w+\.py)\n.*?)^```$", re.DOTALL | re.MULTILINE)


def shown(text: str, folder: Path) -> str:
    """The page with what its commands print in a folder."""

    def run(block: re.Match[str]) -> str:
        command = [sys.executable, "-m", *block[2].split()]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 1):
            raise SystemExit(f"{block[2]}: exit code {done.returncode}: {done.stderr}")
        return block[1] + done.stdout + block[3]

    return BLOCK.sub(run, text)


def main() -> None:
    """Write both pages."""
    readme, page = ROOT / "README.md", ROOT / "docs" / "getting-started.md"
    readme.write_text(shown(readme.read_text(encoding="utf-8"), ROOT), encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    with TemporaryDirectory() as folder:
        for source, name in FILE.findall(text):
            (Path(folder) / name).write_text(source, encoding="utf-8")
        page.write_text(shown(text, Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
