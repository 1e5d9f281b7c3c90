import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def forward(self, q, k, v):
        live = self.training
        rate = self.p if live else 0.0
        p = rate
        return F.scaled_dot_product_attention(q, k, v, dropout_p=p)
