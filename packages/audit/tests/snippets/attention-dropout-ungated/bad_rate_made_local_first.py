import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def forward(self, q, k, v):
        rate = self.config.attention_dropout
        p = rate
        return F.scaled_dot_product_attention(q, k, v, None, p)  #! attention-dropout-ungated
