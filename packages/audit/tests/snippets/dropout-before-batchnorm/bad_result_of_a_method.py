import torch
from torch import nn


class G(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(8, 8)
        self.fc2 = nn.Linear(8, 8)
        self.bn1 = nn.BatchNorm1d(8)
        self.bn2 = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.5)

    def encode(self, x):
        return self.drop(torch.relu(self.bn1(self.fc1(x))))  #! dropout-before-batchnorm advice

    def forward(self, x):
        x = self.encode(x)
        return self.bn2(self.fc2(x))
