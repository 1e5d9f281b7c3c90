"""The library that holds this package's operators."""

from __future__ import annotations

import torch

# For operators that read a tensor on the CPU, such as a key or the p of a module: a CUDA graph
# would capture it as a constant.
TAGS = (torch.Tag.pt2_compliant_tag, torch.Tag.cudagraph_unsafe)

library = torch.library.Library("torchdropout", "DEF")
