import torch.nn.functional as F


def sdpa_forward(module, q, k, v, mask, dropout=0.0, scaling=None):
    # Its caller decides.
    return F.scaled_dot_product_attention(q, k, v, mask, dropout_p=dropout, scale=scaling)
