from torch import nn


class Layers(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8), nn.Dropout(p)])
        self.drops = nn.ModuleList([nn.Dropout(p, inplace=True) for _ in range(3)])
        self.by_key = nn.ModuleDict({"a": nn.Dropout(p), "b": nn.ReLU(inplace=True)})

    def forward(self, x, key):
        for layer in self.layers:
            layer(x)  # hooks may collect what the layers give
        for drop in self.drops:
            drop(x)
        self.by_key[key](x)
        return x
