import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, depth, rate):
        super().__init__()
        self.rates = [x.item() for x in torch.linspace(0, rate, depth)]
        self.drops = nn.ModuleList(nn.Dropout(r) for r in self.rates)
