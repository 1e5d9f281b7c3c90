import torch
import torch.nn.functional as F
from torch import nn

from .layers import MaskedLSTM, ResBlock1D


class Tagger(nn.Module):
    def __init__(self, size, p=0.2):
        super().__init__()
        self.embed = nn.Embedding(100, size)
        self.rnn = MaskedLSTM(size, size)
        self.bilstm = nn.LSTM(size, size, bidirectional=True)
        self.drop = nn.Dropout2d(p)
        self.blocks = nn.Sequential(
            ResBlock1D(size, size),
            nn.Dropout2d(p),  #! feature-dropout-rank advice
        )

    def turned(self, x, mask):
        out, _ = self.rnn(x, mask)
        return self.drop(out.transpose(1, 2)).transpose(1, 2)  #! feature-dropout-rank advice

    def turned_back(self, x):
        x, _ = self.bilstm(x)
        x = x.permute(1, 2, 0)
        x = self.drop(x)  #! feature-dropout-rank advice
        return x

    def viewed(self, x, width):
        x = self.embed(x).view(x.size(0), -1, width)
        return F.dropout2d(x, 0.2, self.training)  #! feature-dropout-rank advice

    def last(self, x):
        x, _ = self.bilstm(x)
        x = x[-1]
        return self.drop(x)  #! feature-dropout-rank advice

    def of_a_volume(self, x):
        x = x.reshape(x.size(0), x.size(1), 8, 8)
        return F.dropout3d(torch.relu(x), 0.2, self.training)  #! feature-dropout-rank advice
