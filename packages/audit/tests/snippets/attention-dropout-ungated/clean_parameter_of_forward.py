import torch.nn.functional as F
from torch import nn


class Attend(nn.Module):
    def forward(self, q, k, v, dropout_p: float = 0.1):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout_p)
