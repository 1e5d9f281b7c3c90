import torch
from torch import nn


class Attention(nn.Module):
    def forward(self, q, k, v, mask=None):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, mask, self.p)  #! attention-dropout-ungated
