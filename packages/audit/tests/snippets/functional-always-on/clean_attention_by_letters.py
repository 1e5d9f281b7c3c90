import math

import torch
import torch.nn.functional as F


def sparse_attention(q, k, v, index, dropout_p: float = 0.0):
    # As torch's scaled_dot_product_attention, it applies the dropout_p that it is given.
    alpha = (q * k).sum(dim=-1) / math.sqrt(q.shape[-1])
    alpha = torch.softmax(alpha, dim=-1)
    if dropout_p > 0.0:
        alpha = F.dropout(alpha, p=dropout_p)
    return v * alpha.unsqueeze(-1), index
