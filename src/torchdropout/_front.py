"""The names of the package, all of which need torch."""

# isort: off
from . import _torch as _torch  # first: it refuses a torch that is too old

# isort: on
from . import backends as backends
from . import export as export
from . import functional as functional
from . import mc as mc
from . import nn as nn
from . import onnx as onnx
from ._callable import module_of as _module_of
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
