from functools import partial

import torch.nn.functional as F
from torch import nn

attend = partial(F.scaled_dot_product_attention, is_causal=True)


class Held(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p
        self._attention = F.scaled_dot_product_attention

    def forward(self, q, k, v):
        return self._attention(q, k, v, dropout_p=self.p)  #! attention-dropout-ungated


class Alias(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p

    def forward(self, q, k, v):
        return attend(q, k, v, dropout_p=self.p)  #! attention-dropout-ungated


class Bound(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p
        self.bound = partial(F.scaled_dot_product_attention, dropout_p=self.p)  #! attention-dropout-ungated

    def forward(self, q, k, v):
        return self.bound(q, k, v)


class Chosen(nn.Module):
    def __init__(self, causal, p=0.1):
        super().__init__()
        self.p = p
        if causal:
            self.attend = partial(F.scaled_dot_product_attention, is_causal=True)
        else:
            self.attend = F.scaled_dot_product_attention

    def forward(self, q, k, v):
        return self.attend(q, k, v, dropout_p=self.p)  #! attention-dropout-ungated
