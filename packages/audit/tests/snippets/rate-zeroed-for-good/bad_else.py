import torch
from flash_attn import flash_attn_func
from torch import nn


class FlashSelfAttention(nn.Module):
    def __init__(self, causal=False, attention_dropout=0.0):
        super().__init__()
        self.causal = causal
        self.dropout_p = attention_dropout

    def forward(self, q, k, v):
        if self.training:
            is_causal = self.causal
        else:
            is_causal = q.shape[1] == k.shape[1]
            self.dropout_p = 0  #! rate-zeroed-for-good
        return flash_attn_func(q, k, v, self.dropout_p, causal=is_causal)
