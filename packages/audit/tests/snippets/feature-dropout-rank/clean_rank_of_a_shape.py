import torch
import torch.nn.functional as F
from torch import nn

from .layers import LSTMCell, MaskedLSTM, ResBlock2D


class Tagger(nn.Module):
    def __init__(self, size, p=0.2):
        super().__init__()
        self.rnn = MaskedLSTM(size, size)
        self.cell = LSTMCell(size, size)
        self.lstm = nn.LSTM(size, size)
        self.drop = nn.Dropout2d(p)
        self.drop1 = nn.Dropout1d(p)
        self.blocks = nn.Sequential(ResBlock2D(size, size), nn.Dropout2d(p))

    def unsqueezed(self, x, mask):
        out, _ = self.rnn(x, mask)
        out = out.transpose(1, 2).unsqueeze(3)
        return self.drop(out).squeeze(3)

    def a_row(self, x):
        x, _ = self.lstm(x)
        return self.drop1(x.permute(1, 2, 0))

    def viewed(self, x, width):
        x = x.view(x.size(0), width, -1, 1)
        return F.dropout2d(x, 0.2, self.training)

    def of_shape(self, x, shape):
        x = x.view(*shape)
        return self.drop(x)

    def of_any_shape(self, x, shape):
        x = x.view(shape)
        return self.drop(x)

    def picked(self, x, index):
        x = x.permute(0, 2, 1)
        return self.drop(x[index])  # the index may be a tensor, of any shape

    def stepped(self, x, state):
        h, c = self.cell(x, state)
        return self.drop(torch.stack([h, c]))

    def split(self, x):
        x = self.lstm(x)[0].transpose(0, 1)
        x = x[:, None]
        return self.drop(x)
