"""The contract in plain, readable code: what dropout computes. Nothing here is tuned for speed."""

from .keep import compute_dtype as compute_dtype
from .keep import keep_bit as keep_bit
from .keep import scale as scale
from .keep import threshold as threshold
from .keep import uniform as uniform
from .layout import MaskLayout as MaskLayout
from .layout import row_major as row_major
from .philox import philox4x32 as philox4x32
from .philox import philox4x32_tensor as philox4x32_tensor
