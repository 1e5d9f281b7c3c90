import torch
import torch.nn.functional as F


def mc_dropout_predict(net, x, p, n):
    return torch.stack([net(F.dropout(x, p, training=True)) for _ in range(n)])
