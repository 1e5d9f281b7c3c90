"""Leaves out what needs pygls where it is not installed."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec("pygls") else ["src/torchdropout_audit/lsp.py"]
