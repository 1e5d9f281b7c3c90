import torch.nn.functional as F
from torch import nn


class Parser(nn.Module):
    def __init__(self, heads, relations):
        super().__init__()
        self.head = nn.Linear(64, heads)
        self.relation = nn.Linear(64, relations)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        return (
            F.log_softmax(self.head(self.drop(x)), -1),
            F.log_softmax(self.relation(self.drop(x)), -1),
            self.drop(F.softmax(x, -1)),
        )
