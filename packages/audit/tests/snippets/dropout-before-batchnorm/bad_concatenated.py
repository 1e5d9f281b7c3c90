import torch
from torch import nn


class G(nn.Module):
    def __init__(self):
        super().__init__()
        self.ff = nn.Linear(8, 8)
        self.drop = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x, z):
        y = self.ff(x)
        y = self.drop(y)  #! dropout-before-batchnorm advice
        return self.norm(torch.cat([y, z], dim=1))
