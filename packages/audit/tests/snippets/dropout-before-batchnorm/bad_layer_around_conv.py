import torch
from torch import nn


class Conv(nn.Module):
    def __init__(self, size, kernel=5):
        super().__init__()
        self.conv = nn.Conv1d(size, size, kernel)
        nn.init.xavier_uniform_(self.conv.weight)

    def forward(self, x):
        x = self.conv(x)
        return x


class Wrapped(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.inner = Conv(size)

    def forward(self, x):
        """Applies it."""
        return self.inner(x)


class PostNet(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.conv1, self.conv2, self.conv3 = Conv(size), Conv(size), Wrapped(size)
        self.norm2, self.norm3 = nn.BatchNorm1d(size), nn.BatchNorm1d(size)
        self.drop1, self.drop2 = nn.Dropout(0.1), nn.Dropout(0.1)

    def forward(self, x):
        x = self.drop1(torch.tanh(self.conv1(x)))  #! dropout-before-batchnorm advice
        x = self.drop2(torch.tanh(self.norm2(self.conv2(x))))  #! dropout-before-batchnorm advice
        return torch.tanh(self.norm3(self.conv3(x)))
