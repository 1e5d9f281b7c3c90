import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.p = 0
        self.fc = nn.Linear(8, 8)

    def forward(self, x, y):
        x = F.dropout(F.relu(self.fc(x)), p=self.p, training=self.training, inplace=True)
        p = 0.0
        return x + F.dropout(F.relu(y), p, self.training, inplace=True)
