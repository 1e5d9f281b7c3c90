import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, use_bn):
        super().__init__()
        self.use_bn = use_bn
        self.fc = nn.Linear(100, 20)
        self.norm = nn.BatchNorm1d(20)
        self.drop = nn.Dropout2d(0.5)

    def forward(self, x):
        x = x.view(-1, 100)
        x = self.fc(x)
        if self.use_bn:
            x = self.norm(x)
        x = F.relu(x)
        return self.drop(x)  #! feature-dropout-rank advice
