import torch
import torch.nn.functional as F
from torch import nn


class GCN(nn.Module):
    def forward(self, x):
        return torch.dropout(torch.tanh(x))  #! dropout-wrong-arguments
