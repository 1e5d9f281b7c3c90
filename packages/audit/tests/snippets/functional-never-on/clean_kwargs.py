import torch.nn.functional as F


def drop(x, **options):
    return F.alpha_dropout(x, **options)
