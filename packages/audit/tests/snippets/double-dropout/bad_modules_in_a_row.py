from torch import nn


class Positions(nn.Module):
    def __init__(self, size, rate=0.1):
        super().__init__()
        self.table = nn.Parameter(nn.init.normal_(nn.Linear(size, 512).weight))
        self.dropout = nn.Dropout(rate)

    def forward(self, x):
        return self.dropout(x + self.table[: x.shape[1]])


class Encoder(nn.Module):
    def __init__(self, size, layers, rate=0.1):
        super().__init__()
        self.dropout = nn.Dropout(rate)
        self.layers = nn.ModuleList([nn.Linear(size, size) for _ in range(layers)])

    def forward(self, x):
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x).relu()
        return x


class Model(nn.Module):
    def __init__(self, words, size, rate):
        super().__init__()
        self.embed = nn.Embedding(words, size)
        self.positions = Positions(size, rate)
        self.encoder = Encoder(size, 6, rate)

    def forward(self, tokens):
        x = self.positions(self.embed(tokens))
        return self.encoder(x.transpose(0, 1))  #! double-dropout advice
