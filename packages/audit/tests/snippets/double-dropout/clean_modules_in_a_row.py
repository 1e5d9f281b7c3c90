from torch import nn


class Positions(nn.Module):
    def __init__(self, size, rate=0.1):
        super().__init__()
        self.scale = nn.Parameter(nn.init.normal_(nn.Linear(size, 1).weight))
        self.dropout = nn.Dropout(rate)

    def forward(self, x):
        return self.dropout(x + self.scale)


class Encoder(nn.Module):
    def __init__(self, size, rate=0.1):
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(rate)
        self.layers = nn.ModuleList([nn.Linear(size, size) for _ in range(6)])

    def forward(self, x):
        for layer in self.layers:
            x = x + self.dropout(layer(self.norm(x)))
        return x


class Model(nn.Module):
    def __init__(self, words, size, rate):
        super().__init__()
        self.embed = nn.Embedding(words, size)
        self.positions = Positions(size, rate)
        self.encoder = Encoder(size, rate)
        self.norm = nn.LayerNorm(size)
        self.drop = nn.Dropout(rate)

    def forward(self, tokens):
        x = self.positions(self.embed(tokens))
        x = self.encoder(x)  # a sublayer is between
        return self.drop(self.norm(x))
