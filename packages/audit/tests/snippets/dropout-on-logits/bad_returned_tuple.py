import torch.nn.functional as F
from torch import nn


class Parser(nn.Module):
    def __init__(self, heads, relations):
        super().__init__()
        self.head = nn.Linear(64, heads)
        self.relation = nn.Linear(64, relations)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        a = self.head(x)
        b = self.relation(x)
        return (
            F.log_softmax(self.drop(a), -1),  #! dropout-on-logits advice
            F.log_softmax(self.drop(b), -1),  #! dropout-on-logits advice
        )
