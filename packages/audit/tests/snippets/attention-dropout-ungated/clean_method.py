import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def _p(self):
        if self.training:
            return self.dropout
        return 0.0

    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self._p())
