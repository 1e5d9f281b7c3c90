"""Dropout for PyTorch by an exact contract: each keep bit is a function of (key, p, index)."""

from . import _torch as _torch  # first: it refuses a torch that is too old
from . import backends as backends
from . import convert as convert
from . import export as export
from . import functional as functional
from . import nn as nn
from . import onnx as onnx
from . import schedule as schedule
from ._version import __version__ as __version__
from .contract.layout import MaskLayout as MaskLayout
from .functional.keep_mask import keep_mask as keep_mask
from .random import Key as Key
