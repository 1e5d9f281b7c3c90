from torch import nn
from torch_geometric.nn import GCNConv

from .layers import GraphConvolution


class Net(nn.Module):
    def __init__(self, size, num_classes):
        super().__init__()
        self.conv1 = GCNConv(size, 16)
        self.conv2 = GCNConv(16, num_classes)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x, edges):
        x = self.conv1(x, edges).relu()
        x = self.dropout(x)
        x = self.conv2(x, edges)
        return self.dropout(x)  #! dropout-on-logits advice


class Other(nn.Module):
    def __init__(self, size, n_labels):
        super().__init__()
        self.conv = GraphConvolution(size, n_labels)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x, edges):
        x = self.conv(x, edges)
        x = self.dropout(x)  #! dropout-on-logits advice
        return x
