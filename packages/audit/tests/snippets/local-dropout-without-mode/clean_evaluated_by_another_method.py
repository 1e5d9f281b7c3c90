import torch
from torch import nn


class Graph(nn.Module):
    def __init__(self, size, rate, adjacency):
        super().__init__()
        self.table = nn.Parameter(torch.randn(size, 8))
        self.rate, self.adjacency = rate, adjacency

    def sparse_dropout(self, x, rate):
        random_tensor = 1 - rate
        random_tensor += torch.rand(x._nnz())
        kept = torch.floor(random_tensor).type(torch.bool)
        i, v = x._indices()[:, kept], x._values()[kept]
        return torch.sparse.FloatTensor(i, v, x.shape) * (1. / (1 - rate))

    def forward(self, users):
        adjacency = self.sparse_dropout(self.adjacency, self.rate)
        return torch.sparse.mm(adjacency, self.table)[users]

    @torch.no_grad()
    def get_embedding(self):
        # Evaluation calls this, without dropout.
        return torch.sparse.mm(self.adjacency, self.table)
