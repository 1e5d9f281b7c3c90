from torch import nn
from torch.nn.functional import scaled_dot_product_attention as sdpa


class Attention(nn.Module):
    def forward(self, q, k, v):
        return sdpa(q, k, v, dropout_p=0.1, is_causal=True)  #! attention-dropout-ungated
