"""torchnlp's linear layer with dropped weights, of 32 inputs and 16 outputs."""

import functools

from torchnlp.nn import WeightDropLinear

linear = functools.partial(WeightDropLinear, 32, 16)
