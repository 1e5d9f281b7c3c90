"""The library that holds this package's operators."""

from __future__ import annotations

import torch

# For operators that take a key: a CUDA graph would capture the key as a constant.
TAGS = (torch.Tag.pt2_compliant_tag, torch.Tag.cudagraph_unsafe)

library = torch.library.Library("torchdropout", "DEF")
