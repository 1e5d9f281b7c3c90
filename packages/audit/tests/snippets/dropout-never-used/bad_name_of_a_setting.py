from torch import nn


class Model(nn.Module):
    def __init__(self, configs):
        super().__init__()
        dropout = configs.dropout
        self.encoder = Encoder(configs, dropout)

    def forward(self, x):
        return self.encoder(x)


class Encoder(nn.Module):
    def __init__(self, configs, dropout):
        super().__init__()
        self.proj = nn.Linear(configs.dim, configs.dim)
        self.dropout = nn.Dropout(dropout)  #! dropout-never-used advice

    def forward(self, x):
        return self.proj(x)
