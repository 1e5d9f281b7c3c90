import torch.nn.functional as F

DROPS = {"alpha": F.alpha_dropout, "feature": F.feature_alpha_dropout}


def drop(kind, x, p, training):
    return DROPS[kind](x, p, training)
