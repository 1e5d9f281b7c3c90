import torch
import torch.nn.functional as F
from torch import nn


def attend(q, k, v, p):
    return F.scaled_dot_product_attention(
        q, k, v, attn_mask=None, dropout_p=p, is_causal=True, scale=1.0, enable_gqa=True
    )


layer = nn.MultiheadAttention(8, 2, dropout=0.1, kdim=4, vdim=4, batch_first=True, device="cpu")
