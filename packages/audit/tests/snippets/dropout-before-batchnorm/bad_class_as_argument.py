import torch.nn.functional as F
from torch import nn


class BasicBlock(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(d)
        self.conv1 = nn.Conv2d(d, d, 3)
        self.conv2 = nn.Conv2d(d, d, 3)
        self.p = p
    def forward(self, x):
        out = self.conv1(F.relu(self.bn1(x)))
        out = F.dropout(out, p=self.p, training=self.training)  #! dropout-before-batchnorm advice
        return x + self.conv2(out)
class NetworkBlock(nn.Module):
    def __init__(self, n, d, block, p):
        super().__init__()
        self.layer = self._make_layer(block, d, n, p)
    def _make_layer(self, block, d, n, p):
        layers = []
        for i in range(n):
            layers.append(block(d, p))
        return nn.Sequential(*layers)
    def forward(self, x):
        return self.layer(x)
class Net(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.block1 = NetworkBlock(n, d, BasicBlock, p)
        self.bn = nn.BatchNorm2d(d)
    def forward(self, x):
        return self.bn(self.block1(x))
