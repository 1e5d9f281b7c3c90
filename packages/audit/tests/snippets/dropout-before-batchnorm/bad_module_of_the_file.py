import torch
from torch import nn


class GC(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(8, 8))

    def forward(self, x, adj):
        return torch.spmm(adj, x @ self.w)


class G(nn.Module):
    def __init__(self):
        super().__init__()
        self.gc1 = GC()
        self.gc2 = GC()
        self.drop = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x, adj):
        x = self.gc1(x, adj)
        x = self.drop(x)  #! dropout-before-batchnorm advice
        x = self.gc2(x, adj)
        return self.norm(x)
