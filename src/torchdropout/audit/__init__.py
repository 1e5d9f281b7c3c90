"""The audit: dropout mistakes found in source and in models.

`audit_paths` and `audit_text` read sources, which takes no torch; `sites` runs a model.
"""

from typing import TYPE_CHECKING, Any

from .run import audit_paths as audit_paths
from .source import audit_text as audit_text

if TYPE_CHECKING:
    from .model import Site as Site
    from .model import Sites as Sites
    from .model import sites as sites

_MODEL = ("Site", "Sites", "sites")


def __getattr__(name: str) -> Any:
    # The processes that read sources import this package, and are to do without torch.
    if name in _MODEL:
        from . import model

        return getattr(model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted((*globals(), *_MODEL))
