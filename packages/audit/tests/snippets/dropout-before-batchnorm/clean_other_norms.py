import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    # The two norms of a list are no BatchNorm, and what has a name of two kinds may normalise.
    def __init__(self, n, kind):
        super().__init__()
        self.fcs = nn.ModuleList([nn.Linear(8, 8) for _ in range(n)])
        self.norms = nn.ModuleList([nn.LayerNorm(8), nn.GroupNorm(2, 8)])
        self.bn = nn.BatchNorm1d(8)
        if kind:
            last = nn.LayerNorm(8)
        else:
            last = nn.Linear(8, 8)
        self.net = nn.Sequential(nn.Dropout(0.1), last, nn.BatchNorm1d(8))

    def forward(self, x):
        for fc, norm in zip(self.fcs, self.norms):
            x = norm(F.dropout(fc(x), 0.1, self.training))
        return self.net(self.bn(x))
