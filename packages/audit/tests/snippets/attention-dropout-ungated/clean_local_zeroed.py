import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def forward(self, q, k, v):
        p = self.p
        if not self.training:
            p = 0
        return F.scaled_dot_product_attention(q, k, v, dropout_p=p)
