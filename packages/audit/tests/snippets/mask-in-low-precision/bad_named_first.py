import torch


def row_dropout(x, keep_prob, training):
    if not training:
        return x
    noise = torch.rand(x.shape, dtype=x.dtype, device=x.device)  #! mask-in-low-precision advice
    return torch.where(noise < keep_prob, x / keep_prob, 0)
