"""The library that holds this package's operators."""

from __future__ import annotations

import torch

# Of operators that take a key: one that a CUDA graph captures would be a constant of the graph.
TAGS = (torch.Tag.pt2_compliant_tag, torch.Tag.cudagraph_unsafe)

library = torch.library.Library("torchdropout", "DEF")
