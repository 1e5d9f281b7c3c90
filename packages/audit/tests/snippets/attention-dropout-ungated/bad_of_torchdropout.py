import torchdropout as td
from torch import nn
from torchdropout.functional import scaled_dot_product_attention


class Attention(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p

    def forward(self, q, k, v):
        y = td.functional.scaled_dot_product_attention(
            q,
            k,
            v,
            dropout_p=self.p,  #! attention-dropout-ungated
        )
        return scaled_dot_product_attention(y, k, v, None, self.p)  #! attention-dropout-ungated
