import dgl.nn as dglnn
import torch_geometric.nn as gnn
from torch import nn
from torch_geometric.nn import GATv2Conv, TransformerConv


class Net(nn.Module):
    def __init__(self, size, heads, dropout, concat, slope, args):
        super().__init__()
        self.first = gnn.GATConv(size, size, heads, concat, slope, dropout)
        self.second = GATv2Conv(size, size, heads, dropout=args.drop_rate)
        self.third = TransformerConv(size, size, heads, True, False, args.dropout)
        self.fourth = gnn.GATConv(size, size, heads, *args)
        self.fifth = dglnn.GATConv(size, size, heads, dropout)
        self.sixth = gnn.GCNConv(size, size, dropout)

    def forward(self, x, edges):
        for layer in (self.first, self.second, self.third, self.fourth, self.fifth, self.sixth):
            x = layer(x, edges)
        return x
