import torch.nn.functional as F
from torch import nn


class M0(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.a = nn.Linear(d, d)
        self.bn = nn.BatchNorm1d(d)
        self.act = lambda x: F.dropout(F.relu(x), p, self.training)  #! dropout-before-batchnorm advice
    def forward(self, x):
        return self.bn(self.a(self.act(x)))


def conv_bn1(i, o, bn=True):
    layers = [nn.Conv2d(i, o, 3)]
    if bn:
        layers.append(nn.BatchNorm2d(o))
    layers.append(nn.ReLU())
    return nn.Sequential(*layers)
class M1(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.c1 = conv_bn1(3, 8)
        self.c2 = conv_bn1(8, 8)
        self.drop = nn.Dropout2d(p)
    def forward(self, x):
        x = self.drop(self.c1(x))  #! dropout-before-batchnorm advice
        return self.c2(x)
