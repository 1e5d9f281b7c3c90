import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p
        self.drops = self.p > 0.0

    def forward(self, q, k, v):
        if self.drops:
            return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)  #! attention-dropout-ungated
        if self.p == 0.0:
            return v
        else:
            return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)  #! attention-dropout-ungated
