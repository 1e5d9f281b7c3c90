import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(8, 8), nn.Linear(8, 8)
        self.bn = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.3)

    def forward(self, x):
        for fc in (self.fc1, self.fc2):
            x = self.drop(torch.relu(self.bn(fc(x))))  #! dropout-before-batchnorm advice
        return x
