import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def _attend(self, q, k, v, p=0.0):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=p)

    def forward(self, q, k, v):
        return self._attend(q, k, v, p=self.dropout)  #! attention-dropout-ungated
