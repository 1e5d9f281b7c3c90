import torch.nn.functional as F


def drop(x, p, training, keepdim=True, keep=None):
    return F.dropout(x.mean(-1, keepdim=keepdim), p, training)
