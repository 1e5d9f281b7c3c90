"""Finds mistakes in the use of dropout in Python sources; imports and runs nothing of them."""

from ._version import __version__ as __version__
from .findings import Edit as Edit
from .findings import Fix as Fix
from .findings import SourceFinding as SourceFinding
from .findings import SourceReport as SourceReport
from .run import audit_paths as audit_paths
from .source import audit_text as audit_text
