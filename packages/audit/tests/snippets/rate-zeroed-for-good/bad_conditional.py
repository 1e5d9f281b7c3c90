import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.attn_dropout = p

    def forward(self, q, k, v):
        self.attn_dropout = self.attn_dropout if self.training else 0.0  #! rate-zeroed-for-good
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self.attn_dropout)
