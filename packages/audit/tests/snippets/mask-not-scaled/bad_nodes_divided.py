import torch
import torch.nn.functional as F
from torch import nn


def drop_node(x, drop_rate=0.5, training=True):
    n = x.shape[0]
    drop_rates = torch.ones(n) * drop_rate
    if training:
        masks = torch.bernoulli(1.0 - drop_rates).unsqueeze(1)
        x = masks.to(x.device) * x
        x = x / drop_rate  #! mask-not-scaled
    return x
