import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def forward(self, q, k, v, mask=None):
        p = self.p if mask is None else 0.0
        return F.scaled_dot_product_attention(q, k, v, mask, dropout_p=p)  #! attention-dropout-ungated
