from torch import nn


class Wrapper(nn.Module):
    def __init__(self, layers, dim, dropout=0.0, emb_dropout=0.0):
        super().__init__()
        self.layers = layers
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(emb_dropout)
        # The head is disabled until the loss is stable.
        # self.head = FeedForward(dim, dropout = dropout)

    def forward(self, x):
        return self.norm(self.layers(self.dropout(x)))


class Head(nn.Module):
    def __init__(self, dim, dropout=0.0, final_drop=0.0):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        # we decided that final_drop hurts, and that it must not act
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        return self.norm(self.dropout(x))
