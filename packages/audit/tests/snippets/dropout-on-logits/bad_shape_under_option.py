import torch.nn.functional as F
from torch import nn


class Pool(nn.Module):
    def __init__(self, size, p):
        super().__init__()
        self.score = nn.Linear(size, 1)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        weights = self.score(x).tanh().squeeze()
        weights = self.drop(weights)  #! dropout-on-logits advice
        if x.shape[0] == 1:
            weights = weights.unsqueeze(0)
        weights = F.softmax(weights, 1)
        return (x * weights.unsqueeze(2)).sum(1)
