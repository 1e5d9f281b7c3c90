import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def attend(self, q, k, v, training):
        dropout_p = self.dropout
        if not training:
            dropout_p = 0.0
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p)
