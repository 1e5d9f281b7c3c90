import torch
from torch import nn


def scaled_dot_product_attention(query, key, value, attn_mask=None, dropout_p=0.0):
    weight = torch.softmax(query @ key.transpose(-2, -1), dim=-1)
    weight = torch.dropout(weight, dropout_p, train=True)  #! training-literal advice
    return torch.dropout(weight @ value, 0.1, train=True)  #! training-literal advice


class Attention(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p

    def forward(self, q, k, v):
        return scaled_dot_product_attention(q, k, v, dropout_p=self.p)
