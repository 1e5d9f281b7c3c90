import torch.nn.functional as F
from torch import nn


class Tagger(nn.Module):
    def __init__(self, size, width):
        super().__init__()
        self.lstm = nn.LSTM(size, size)
        self.fc = nn.Linear(size, width)
        self.drop = nn.Dropout(0.3)

    def emit(self, x):
        h, _ = self.lstm(x)
        return self.drop(h), self.fc(h)

    def forward(self, x, y):
        # The second of the pair is the scores.
        return F.cross_entropy(self.emit(x)[1], y)
