import torch
from torch import nn


class Graph(nn.Module):
    def _sparse_dropout(self, x, rate=0.5):
        random_tensor = rate
        random_tensor += torch.rand(x._nnz()).to(x.device)
        dropout_mask = torch.floor(random_tensor).type(torch.bool)
        i = x._indices()[:, dropout_mask]
        v = x._values()[dropout_mask]
        out = torch.sparse.FloatTensor(i, v, x.shape).to(x.device)
        return out * (1. / (1 - rate))  #! mask-not-scaled


def drop_path(x, drop_prob, training):
    if not training:
        return x
    random_tensor = drop_prob + torch.rand(x.shape[0], 1)
    mask = random_tensor.floor()
    return x.div(1 - drop_prob) * mask  #! mask-not-scaled
