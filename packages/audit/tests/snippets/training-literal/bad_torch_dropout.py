import torch
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        return torch.dropout(x, 0.5, True)  #! training-literal advice
