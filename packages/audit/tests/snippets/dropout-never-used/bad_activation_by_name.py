import torch.nn.functional as F
from torch import nn


class A(nn.Module):
    def __init__(self, p, act="relu"):
        super().__init__()
        self.act = getattr(F, act)
        self.fc = nn.Linear(8, 8)
        self.drop = nn.Dropout(p)  #! dropout-never-used advice

    def forward(self, x):
        return self.act(self.fc(x))
