import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def _attend_and_drop(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)

    def forward(self, q, k, v):
        if self.training:
            return self._attend_and_drop(q, k, v)
        return F.scaled_dot_product_attention(q, k, v)
