"""timm's `PatchDropout` as a target, without the class token that it keeps whatever p is."""

import functools

from timm.layers import PatchDropout

patch = functools.partial(PatchDropout, num_prefix_tokens=0)
patch_of_ten = PatchDropout(0.8, num_prefix_tokens=0)
