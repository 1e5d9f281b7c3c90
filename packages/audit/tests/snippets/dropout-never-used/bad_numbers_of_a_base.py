from torch import nn
from torch_geometric.nn import GATv2Conv

from .bases import Base


class Model(Base):
    def __init__(self, size=8, p=0.1):
        super().__init__()
        self.convs = nn.ModuleList([])
        for _ in range(self.depth):
            self.convs.append(GATv2Conv(in_channels=size, out_channels=size, heads=self.heads))
        self.drop = nn.Dropout(p)  #! dropout-never-used advice

    def forward(self, x, edges):
        for conv in self.convs:
            x = conv(x, edges)
        return x
