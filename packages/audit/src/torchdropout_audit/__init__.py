"""Finds mistakes in the use of dropout in Python sources; imports and runs nothing of them."""

# isort: off
from . import _safe_path as _safe_path  # before anything is imported from elsewhere

# isort: on

from ._version import __version__ as __version__
from .findings import Edit as Edit
from .findings import Fix as Fix
from .findings import SourceFinding as SourceFinding
from .findings import SourceReport as SourceReport
from .run import audit_paths as audit_paths
from .source import audit_text as audit_text
