import torch.nn.functional as F
from torch import nn
from layers import GraphConvolution
from .gat import GATLayer
from sync_batchnorm import SynchronizedBatchNorm2d


class M0(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.gc1 = GraphConvolution(d, d)
        self.gc2 = GraphConvolution(d, d)
        self.bn = nn.BatchNorm1d(d)
        self.p = p
    def forward(self, x, adj):
        x = F.relu(self.gc1(x, adj))
        x = F.dropout(x, self.p, training=self.training)  #! dropout-before-batchnorm advice
        x = self.bn(self.gc2(x, adj))
        return x


class M1(nn.Module):
    def __init__(self, d, n, p):
        super().__init__()
        self.convs = nn.ModuleList([GATLayer(d, d) for _ in range(n)])
        self.bns = nn.ModuleList([nn.BatchNorm1d(d) for _ in range(n)])
        self.drop = nn.Dropout(p)
    def forward(self, g, x):
        for conv, bn in zip(self.convs, self.bns):
            x = conv(g, x)
            x = bn(x)
            x = self.drop(F.relu(x))  #! dropout-before-batchnorm advice
        return x


class M2(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.bn = SynchronizedBatchNorm2d(d)
        self.conv = nn.Conv2d(d, d, 3)
        self.drop = nn.Dropout(p)
    def forward(self, x):
        return self.bn(self.conv(self.drop(x)))  #! dropout-before-batchnorm advice
