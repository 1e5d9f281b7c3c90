import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.fc = nn.Linear(size, size)

    def forward(self, left, right):
        for side in (left, right):
            side = F.dropout(side, 0.1, self.training)  #! result-unused
        return self.fc(left) + self.fc(right)
