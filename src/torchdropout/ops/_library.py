"""The library that holds this package's operators."""

from __future__ import annotations

import torch

# Of operators that read a tensor on the CPU, such as a key or the p of a module: what a CUDA graph
# captures of it would be a constant of the graph.
TAGS = (torch.Tag.pt2_compliant_tag, torch.Tag.cudagraph_unsafe)

library = torch.library.Library("torchdropout", "DEF")
