import torch
from torch import nn


class Text(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.embed = nn.Embedding(100, 8)
        self.convs = [nn.Conv1d(8, 16, w) for w in widths]
        self.bn = nn.BatchNorm1d(16)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        x = self.drop(self.embed(x)).transpose(1, 2)  #! dropout-before-batchnorm advice
        x = [self.bn(torch.tanh(conv(x))) for conv in self.convs]
        return torch.cat([each.max(2)[0] for each in x], 1)
