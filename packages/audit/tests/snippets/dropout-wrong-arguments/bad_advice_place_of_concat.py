import torch_geometric.nn as gnn
from torch import nn
from torch_geometric.nn import GATv2Conv, TransformerConv


class Net(nn.Module):
    def __init__(self, size, heads, dropout, args):
        super().__init__()
        self.first = gnn.GATConv(size, size, heads, dropout)  #! dropout-wrong-arguments advice
        self.second = GATv2Conv(size, size, heads, True, args.drop_rate)  #! dropout-wrong-arguments advice
        self.third = TransformerConv(size, size, heads, args.dropout)  #! dropout-wrong-arguments advice

    def forward(self, x, edges):
        return self.third(self.second(self.first(x, edges), edges), edges)
