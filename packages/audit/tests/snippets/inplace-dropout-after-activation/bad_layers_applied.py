import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.act = nn.Tanh()
        self.drop = nn.Dropout(0.1, inplace=True)
        self.head = nn.Sequential(nn.Dropout(0.1, inplace=True), nn.Linear(8, 8))  #! inplace-dropout-after-activation

    def forward(self, x, y):
        x = self.act(x)
        x = self.drop(x)  #! inplace-dropout-after-activation
        y = torch.sigmoid(y)
        y = self.head(y)
        return x + y
