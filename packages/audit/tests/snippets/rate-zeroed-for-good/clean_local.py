import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.dropout_p = p

    def forward(self, q, k, v):
        dropout_p = self.dropout_p
        if not self.training:
            dropout_p = 0.0
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p)
