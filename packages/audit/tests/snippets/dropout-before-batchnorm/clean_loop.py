import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    # Each turn begins with what a LayerNorm returns, or with the input.
    def __init__(self):
        super().__init__()
        self.fcs = nn.ModuleList([nn.Linear(8, 8) for _ in range(3)])
        self.bns = nn.ModuleList([nn.BatchNorm1d(8) for _ in range(3)])
        self.norms = nn.ModuleList([nn.LayerNorm(8) for _ in range(3)])
        self.out = nn.Linear(8, 1)

    def forward(self, x, y):
        for fc, bn, norm in zip(self.fcs, self.bns, self.norms):
            x = F.dropout(F.relu(bn(fc(x))), 0.5, self.training)
            x = norm(x)
        found = []
        for fc, bn in zip(self.fcs, self.bns):
            found.append(F.dropout(bn(fc(y)), 0.5, self.training))
        return self.out(x + sum(found))


class Walked(nn.Module):
    # The norm is in the list once, before the dropout.
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList()
        self.layers.append(nn.Linear(8, 8))
        self.layers.append(nn.BatchNorm1d(8))
        self.layers.append(nn.ReLU())
        self.layers.append(nn.Dropout(0.5))
        self.layers.append(nn.Linear(8, 1))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
