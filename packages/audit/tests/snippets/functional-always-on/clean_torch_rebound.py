import torch
from torch import nn

from .fake import Recorder

torch = Recorder(torch)


class Net(nn.Module):
    def forward(self, x):
        return torch.nn.functional.dropout(x, 0.1)
