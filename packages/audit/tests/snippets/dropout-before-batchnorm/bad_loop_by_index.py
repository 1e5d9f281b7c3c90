import torch.nn.functional as F
from torch import nn
from torch_geometric.nn import GCNConv


class G(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList()
        self.bns = nn.ModuleList()
        for _ in range(3):
            self.convs.append(GCNConv(8, 8))
            self.bns.append(nn.BatchNorm1d(8))
        self.dropout = 0.5

    def forward(self, x, adj):
        for i, conv in enumerate(self.convs[:-1]):
            x = conv(x, adj)
            x = self.bns[i](x)
            x = F.relu(x)
            x = F.dropout(x, p=self.dropout, training=self.training)  #! dropout-before-batchnorm advice
        x = self.convs[-1](x, adj)
        return x
