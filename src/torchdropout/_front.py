"""The names of the package, all of which need torch."""

# isort: off
from ._core import _torch as _torch  # first: it refuses a torch that is too old

# isort: on
from . import functional as functional
from . import nn as nn
from ._core import backends as backends
from ._core.contract.layout import MaskLayout as MaskLayout
from .functional.keep_mask import keep_mask as keep_mask
from .models import export as export
from .models import mc as mc
from .models import onnx as onnx
from .models._callable import module_of as _module_of
from .models.convert import convert as _convert
from .models.schedule import DropoutScheduler as _DropoutScheduler
from .models.scope import find_sites as find_sites
from .models.scope import keyed as keyed
from .random import Key as Key

# These modules can be called: `td.convert(model)`, `td.schedule(model, Linear(3))`.
convert = _module_of(_convert)
schedule = _module_of(_DropoutScheduler)
