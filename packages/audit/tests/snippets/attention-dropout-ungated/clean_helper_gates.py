import torch.nn.functional as F
from torch import nn


def attend(q, k, v, dropout_p, training):
    p = dropout_p if training else 0.0
    return F.scaled_dot_product_attention(q, k, v, dropout_p=p)


class Attention(nn.Module):
    def forward(self, q, k, v):
        return attend(q, k, v, self.p, self.training)
