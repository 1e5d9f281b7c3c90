import torch
import torch.nn.functional as F
from torch import nn


def locked_dropout(x, p=0.5, is_training=True):
    if not is_training or not p:
        return x
    mask = x.new_empty(1, x.size(1), x.size(2)).bernoulli_(1 - p) / (1 - p)
    return mask * x


class Model(nn.Module):
    def __init__(self, p=0.3):
        super().__init__()
        self.rnn = nn.LSTM(8, 8)
        self.p = p

    def forward(self, x):
        x, _ = self.rnn(locked_dropout(x, self.p))  #! local-dropout-without-mode
        return locked_dropout(x, p=self.p)  #! local-dropout-without-mode
