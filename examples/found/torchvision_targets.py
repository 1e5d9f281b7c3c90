"""torchvision's `StochasticDepth` as a target, with one draw a batch."""

import functools

from torchvision.ops import StochasticDepth

depth_of_batch = functools.partial(StochasticDepth, mode="batch")
