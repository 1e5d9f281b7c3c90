from torch import nn


class Block(nn.Module):
    def __init__(self, d, scale, dropout_proba=0.0):
        super().__init__()
        self.scale = scale
        self.drop = nn.Dropout(dropout_proba)

    def forward(self, x):
        return self.drop(x) * self.scale
