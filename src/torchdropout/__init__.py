"""Dropout for PyTorch by an exact contract: each keep bit is a function of (key, p, index)."""

# isort: off
from . import _safe_path as _safe_path  # before anything is imported from elsewhere
from . import _torch as _torch  # first: it refuses a torch that is too old

# isort: on
from . import backends as backends
from . import export as export
from . import functional as functional
from . import mc as mc
from . import nn as nn
from . import onnx as onnx
from ._callable import module_of as _module_of
from ._version import __version__ as __version__
from .contract.layout import MaskLayout as MaskLayout
from .convert import convert as _convert
from .functional.keep_mask import keep_mask as keep_mask
from .random import Key as Key
from .schedule import DropoutScheduler as _DropoutScheduler
from .scope import find_sites as find_sites
from .scope import keyed as keyed

# These modules can be called: `td.convert(model)`, `td.schedule(model, Linear(3))`.
convert = _module_of(_convert)
schedule = _module_of(_DropoutScheduler)
