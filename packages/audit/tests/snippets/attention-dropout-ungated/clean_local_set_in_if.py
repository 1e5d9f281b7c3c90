import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def forward(self, q, k, v):
        p = 0.0
        if self.training:
            p = self.p
        return F.scaled_dot_product_attention(q, k, v, dropout_p=p)
