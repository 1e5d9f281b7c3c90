import torch.nn.functional as F
from torch import nn
from torch_geometric.nn import GCNConv


class G(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1 = GCNConv(8, 8)
        self.c2 = GCNConv(8, 8)
        self.bn1 = nn.BatchNorm1d(8)
        self.bn2 = nn.BatchNorm1d(8)

    def forward(self, x, edge_index):
        x = F.relu(self.bn1(self.c1(x, edge_index)))
        x = F.dropout(x, training=self.training)  #! dropout-before-batchnorm advice
        x = F.relu(self.bn2(self.c2(x, edge_index)))
        return x
