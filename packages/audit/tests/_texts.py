"""A model that many tests audit: with one finding, and what becomes of it."""

HEAD = """\
import torch.nn as nn
import torch.nn.functional as F


class Net(nn.Module):
    def forward(self, x):
"""
BAD = HEAD + "        return F.dropout(x, 0.1)\n"  # line 7, column 16
FIXED = BAD.replace("0.1)", "0.1, training=self.training)")
ADDED = "  # torchdropout: ignore[functional-always-on]"
IGNORED = BAD.replace("0.1)", f"0.1){ADDED}")
ADVICE = "from torch import nn\n\ndrop = nn.Dropout(1.0)\n"
