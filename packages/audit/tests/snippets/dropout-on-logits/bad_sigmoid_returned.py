import torch
from torch import nn


class Tracer(nn.Module):
    def __init__(self, n, size):
        super().__init__()
        self.rnn = nn.LSTM(size, size)
        self.out = nn.Linear(size, n)
        self.dropout = nn.Dropout()

    def forward(self, x):
        h, _ = self.rnn(x)
        y = self.out(h)
        y = self.dropout(y)  #! dropout-on-logits advice
        y = torch.sigmoid(y)
        return y
