import torch
from torch import nn


class Conv(nn.Module):
    # It normalises by itself.
    def __init__(self, size):
        super().__init__()
        self.conv = nn.Conv1d(size, size, 5)
        self.norm = nn.LayerNorm(size)

    def forward(self, x):
        return self.norm(self.conv(x))


class Mix(nn.Module):
    # What it returns is not only its input.
    def __init__(self, size):
        super().__init__()
        self.conv = nn.Conv1d(size, size, 5)
        self.memory = nn.Parameter(torch.zeros(size))

    def forward(self, x):
        return self.conv(self.memory)


class Circle(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Circle()

    def forward(self, x):
        return self.inner(x)


class PostNet(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.conv, self.mix, self.circle = Conv(size), Mix(size), Circle()
        self.norm1, self.norm2, self.norm3 = (
            nn.BatchNorm1d(size), nn.BatchNorm1d(size), nn.BatchNorm1d(size)
        )
        self.drop = nn.Dropout(0.1)

    def forward(self, x, y, z):
        x = self.norm1(self.conv(self.drop(x)))
        y = self.norm2(self.mix(self.drop(y)))
        z = self.norm3(self.circle(self.drop(z)))
        return x + y + z
