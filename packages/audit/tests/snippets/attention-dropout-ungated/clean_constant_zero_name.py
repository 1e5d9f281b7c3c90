import torch.nn.functional as F
from torch import nn

NO_DROPOUT = 0.0


class Attention(nn.Module):
    def forward(self, q, k, v):
        return F.scaled_dot_product_attention(q, k, v, dropout_p=NO_DROPOUT)
