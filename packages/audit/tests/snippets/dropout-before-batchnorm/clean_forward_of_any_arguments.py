from torch import nn


class Last(nn.Module):
    def forward(self, *given):
        return given[-1]


# What comes out need not be what came in.
net = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), Last(), nn.BatchNorm1d(8))
