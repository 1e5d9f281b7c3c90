import torch.nn.functional as F


def block(params, x, is_training):
    x = x @ params["w"]
    if is_training:
        x = F.dropout(x, 0.1)
    return x
