import torch.nn.functional as F


def drop(*args):
    return F.alpha_dropout(*args)
