"""The model audit: where dropout acts in a real forward pass."""

from .run import sites as sites
from .table import Site as Site
from .table import Sites as Sites
