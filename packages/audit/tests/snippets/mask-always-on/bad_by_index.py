import numpy as np
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.dropout = dropout

    def sparse_dropout(self, x):
        mask = torch.floor(1 - self.dropout + torch.rand(x._nnz())).bool()
        i = x._indices()[:, mask]  #! mask-always-on
        v = x._values()[mask]
        return torch.sparse_coo_tensor(i, v / (1 - self.dropout), x.shape)

    def forward(self, x, y, z):
        x[torch.rand(x.size()) < self.dropout] = 0  #! mask-always-on
        keep = torch.rand_like(y, dtype=torch.float32) > self.dropout
        y = torch.where(keep, y / (1 - self.dropout), torch.zeros_like(y))  #! mask-always-on
        kept = torch.distributions.Bernoulli(probs=1 - self.dropout)
        z = z * kept.sample(z.shape) / (1 - self.dropout)  #! mask-always-on
        drawn = np.random.binomial(1, 1 - self.dropout, z.shape)
        z = z * torch.from_numpy(drawn).float() / (1 - self.dropout)  #! mask-always-on
        return self.sparse_dropout(x), y, z
