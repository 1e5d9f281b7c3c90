import torch
import torch.nn.functional as F


def scaled_dot_product_attention_simple(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False):
    scores = torch.softmax(q @ k.transpose(-2, -1), dim=-1)
    if dropout_p > 0.0:
        scores = F.dropout(scores, p=dropout_p)
    return scores @ v


def reference(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False):
    scores = torch.softmax(query @ key.transpose(-2, -1), dim=-1)
    return F.dropout(scores, dropout_p) @ value
