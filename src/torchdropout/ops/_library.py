"""The library that holds this package's operators."""

from __future__ import annotations

import torch

library = torch.library.Library("torchdropout", "DEF")
