import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def forward(self, q, k, v):
        if self.flash:
            return F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout)  #! attention-dropout-ungated
        weights = (q @ k.transpose(-2, -1)).softmax(-1)
        return F.dropout(weights, self.dropout, self.training) @ v
