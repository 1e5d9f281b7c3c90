import torchdropout as td
from torch import nn


class Attention(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p

    def forward(self, q, k, v, key):
        p = self.p if self.training else 0.0
        y = td.functional.scaled_dot_product_attention(q, k, v, dropout_p=p, dropout_key=key)
        return td.functional.scaled_dot_product_attention(q, k, y)
