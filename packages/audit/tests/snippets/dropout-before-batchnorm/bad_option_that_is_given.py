import torch.nn.functional as F
from torch import nn


class Layer(nn.Module):
    # The only Module that builds it chooses the norm before the sum, so that the sum is not normalised.
    def __init__(self, first, p):
        super().__init__()
        self.first, self.p = first, p
        self.fc = nn.Linear(8, 8)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        if self.first:
            x = self.norm(x)
        x = x + F.dropout(self.fc(x), self.p, self.training)  #! dropout-before-batchnorm advice
        if not self.first:
            x = self.norm(x)
        return x


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Layer(True, 0.1) for _ in range(3)])
        self.bn = nn.BatchNorm1d(8)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.bn(x)
