from torch import nn
from .graphs import GraphConv, Network


class GAT(Network):
    def __init__(self, **options):
        super().__init__(**options)
        for name in ("heads", "size"):
            setattr(self, name, options.pop(name))
        self.conv = GraphConv(in_channels=self.size, heads=self.heads)
        self.drop = nn.Dropout(0.5)  #! dropout-never-used advice
        for module in self.modules():
            print(module)

    def forward(self, x):
        return self.conv(x)
