import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.dropout_p = self.asked = p

    def train(self, mode=True):
        self.dropout_p = self.asked
        return super().train(mode)

    def forward(self, q, k, v):
        if not self.training:
            self.dropout_p = 0.0
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout_p)
