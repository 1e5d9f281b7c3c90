import torch.nn.functional as F


def drop(x, p, training=True):
    return F.dropout(x, p, training=training)
