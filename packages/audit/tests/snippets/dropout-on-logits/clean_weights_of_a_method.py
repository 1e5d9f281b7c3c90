import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.query = nn.Linear(size, size)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x):
        weights = self.dropout(self.compute_scores(x))  # a softmax has acted on them
        return torch.matmul(weights, x)

    def compute_scores(self, x):
        scores = torch.matmul(self.query(x), x.transpose(1, 2))
        scores = torch.softmax(scores, dim=-1)
        return scores
