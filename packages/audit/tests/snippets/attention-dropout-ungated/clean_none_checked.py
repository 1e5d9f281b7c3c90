import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def forward(self, q, k, v, dropout_p=None):
        if dropout_p is None:
            dropout_p = self.p if self.training else 0.0
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p)
