import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.fc = nn.Linear(size, size)

    def forward(self, sides):
        found = []
        for side in sides:
            side = F.dropout(side, 0.1, self.training)
            found.append(side)
        for last in sides:
            last = F.dropout(last, 0.1, self.training)
        return self.fc(sum(found)), last
