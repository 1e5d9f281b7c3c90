import torch
from torch import nn


class Graph(nn.Module):
    def _sparse_dropout(self, x, rate=0.5):
        random_tensor = 1 - rate
        random_tensor += torch.rand(x._nnz()).to(x.device)
        dropout_mask = torch.floor(random_tensor).type(torch.bool)
        i = x._indices()[:, dropout_mask]
        v = x._values()[dropout_mask]
        out = torch.sparse.FloatTensor(i, v, x.shape).to(x.device)
        return out * (1. / (1 - rate))

    def node_dropout(self, x, keep_prob):
        random_tensor = keep_prob
        random_tensor += torch.rand(x._nnz())
        mask = torch.floor(random_tensor).bool()
        return torch.sparse.FloatTensor(x._indices()[:, mask], x._values()[mask] / keep_prob)


def drop_path(x, drop_prob, training):
    if drop_prob == 0.0 or not training:
        return x
    keep_prob = 1 - drop_prob
    random_tensor = keep_prob + torch.rand(x.shape[0], 1)
    random_tensor.floor_()
    return x.div(keep_prob) * random_tensor
