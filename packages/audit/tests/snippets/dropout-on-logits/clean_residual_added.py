from torch import nn


class Blocks(nn.Module):
    # Each layer's output is dropped and added to what came before: a residual, and no score.
    def __init__(self, layers, size, p):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.layers = nn.ModuleList([nn.Linear(size, size) for _ in range(layers)])

    def forward(self, x):
        out = x
        for layer in self.layers:
            out += self.drop(layer(out))
        return out


class Sum(nn.Module):
    # What is added up goes on: these are features.
    def __init__(self, layers, size, out_features, p):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.layers = nn.ModuleList([nn.Linear(size, out_features) for _ in range(layers)])
        self.head = nn.Linear(out_features, 10)

    def forward(self, x):
        out = 0
        for layer in self.layers:
            out += self.drop(layer(x))
        return self.head(out)
