import torch
import torch.nn.functional as F
from torch import nn
from torch_geometric.nn import BatchNorm, GCNConv


class PairNorm(nn.Module):
    def forward(self, x):
        return x / x.norm()


class Net(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.convs = nn.ModuleList([GCNConv(8, 8) for _ in range(3)])
        self.norms = nn.ModuleList([])
        for _ in range(3):
            if kind == "batch":
                self.norms.append(BatchNorm(8))
            else:
                self.norms.append(PairNorm())

    def forward(self, x, edges):
        for i, conv in enumerate(self.convs):
            x = F.dropout(x, 0.5, self.training)  #! dropout-before-batchnorm advice
            x = torch.relu(self.norms[i](conv(x, edges)))
        return x
