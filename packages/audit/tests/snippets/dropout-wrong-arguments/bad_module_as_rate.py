import torch
from torch import nn
from torch.nn import functional as F


class Encoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dropout = config.dropout
        self.before = nn.GRU(8, 8, 2, dropout=self.dropout)
        self.dropout = nn.Dropout(self.dropout)
        self.rnn = nn.LSTM(8, 8, 2, dropout=self.dropout)  #! dropout-wrong-arguments
        self.attention = nn.MultiheadAttention(8, 2, self.dropout)  #! dropout-wrong-arguments
        self.layer = nn.TransformerEncoderLayer(8, 2, dropout=self.dropout)  #! dropout-wrong-arguments

    def forward(self, x):
        return self.dropout(self.layer(self.attention(self.rnn(self.before(x)[0])[0], x, x)[0]))


class Decoder(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.dropout = p
        self.linear = nn.Linear(8, 8)
        self.dropout = nn.Dropout(self.dropout)

    def forward(self, x, mask):
        x = F.dropout(self.linear(x), self.dropout, self.training)  #! dropout-wrong-arguments
        x = self.dropout(self.linear(x))
        return torch.dropout(x * mask, self.dropout, self.training)  #! dropout-wrong-arguments


class Block(nn.Module):
    def __init__(self, p, wide):
        super().__init__()
        drop = nn.Dropout(p)
        if wide:
            self.layers = nn.Sequential(nn.Linear(8, 8), nn.Dropout(drop))  #! dropout-wrong-arguments
        else:
            self.layers = nn.Sequential(nn.Linear(8, 8), drop)

    def forward(self, x):
        return self.layers(x)
