import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.drop = nn.Dropout2d(0.2)
        self.plain = nn.Dropout(0.2)

    def forward(self, a, b, c, d, e, shape):
        a = self.drop(a.view(a.size(0), 8, 4, 4))
        b = self.drop(b.view(*shape))
        c = self.drop(c.view(shape))
        d = self.drop(d.flatten(2).unsqueeze(-1))
        e = self.plain(torch.flatten(e, 1))
        f = self.drop(e.view(e.size(0), -1)[:, :, None, None])
        g = self.drop(e.view(e.size(0), -1).unsqueeze(-1).unsqueeze(-1))
        h = self.drop(a.flatten(1, 2))
        return a, b, c, d, e, f, g, h


net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Dropout(0.1), nn.Linear(8, 2))
