import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.p = p

    def forward(self, x):
        x = F.dropout(F.relu(self.fc(x)), self.p, self.training, True)  #! inplace-dropout-after-activation
        return F.dropout(F.relu(x, inplace=True), training=self.training, inplace=True)  #! inplace-dropout-after-activation
