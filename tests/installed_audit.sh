#!/usr/bin/env bash
# Whether torchdropout-audit works in an environment with nothing else: it has no torch, knows its
# rules, finds mistakes with two processes, and contains no links.
#
#   tests/installed_audit.sh FOLDER OF THE COMMANDS
set -euo pipefail
bin=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset PYTHONPATH
export TORCHDROPOUT_CACHE=$work/cache

"$bin/python" - <<'END'
import importlib.util
from pathlib import Path

import torchdropout_audit.reporting.findings
from torchdropout_audit.registry import FINDERS

assert importlib.util.find_spec("torch") is None
assert importlib.util.find_spec("torchdropout") is None
assert len(FINDERS) == 31, len(FINDERS)
package = Path(torchdropout_audit.__file__).parent
assert not [path for path in package.rglob("*") if path.is_symlink()]
for name in "abc":
    text = "from torch import nn\ndrop = nn.Dropout(1.5)\n" + "x = [1, 2, 3]\n" * 12_000
    Path(f"{name}.py").write_text(text)
END
"$bin/torchdropout-audit" --version
"$bin/torchdropout-audit" --rules | grep --quiet TD101
"$bin/torchdropout-audit" --jobs 2 -q >report && exit 1
test "$(grep --count TD122 report)" = 3
grep "3 errors in 3 files" report
