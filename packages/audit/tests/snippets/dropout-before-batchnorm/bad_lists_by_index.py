import torch
from torch import nn


class G(nn.Module):
    def __init__(self):
        super().__init__()
        self.fcs = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
        self.bns = nn.ModuleList([nn.BatchNorm1d(8), nn.BatchNorm1d(8)])
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        x = self.drop(torch.relu(self.bns[0](self.fcs[0](x))))  #! dropout-before-batchnorm advice
        return torch.relu(self.bns[1](self.fcs[1](x)))
