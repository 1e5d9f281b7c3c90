from torch import nn


class Encoder(nn.Module):
    def __init__(self, sizes, dropout=None, project=False, **kwargs):  #! dropout-parameter-unused advice
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:]))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x).relu()
        return x


class Net(nn.Module):
    def __init__(self, sizes, args, **kwargs):
        super().__init__()
        self.encoder = Encoder(sizes, dropout=args.dropout, **kwargs)

    def forward(self, x):
        return self.encoder(x)
