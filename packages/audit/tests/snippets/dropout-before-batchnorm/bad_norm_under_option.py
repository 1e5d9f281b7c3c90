import torch
from torch import nn


class G(nn.Module):
    def __init__(self, norm="bn"):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.fc2 = nn.Linear(8, 8)
        self.drop = nn.Dropout(0.5)
        if norm:
            self.bn = nn.BatchNorm1d(8)
        else:
            self.bn = nn.Identity()

    def forward(self, x):
        x = self.drop(torch.relu(self.fc(x)))  #! dropout-before-batchnorm advice
        x = self.fc2(x)
        return self.bn(x)
