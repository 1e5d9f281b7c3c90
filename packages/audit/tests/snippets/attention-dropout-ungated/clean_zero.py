import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def forward(self, q, k, v):
        a = F.scaled_dot_product_attention(q, k, v, dropout_p=0.0)
        b = F.scaled_dot_product_attention(q, k, v, None, 0)
        c = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return a + b + c
