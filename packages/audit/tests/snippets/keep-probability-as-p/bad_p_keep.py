import torch.nn.functional as F


def drop(x, p_keep, training):
    return F.dropout(x, p_keep, training)  #! keep-probability-as-p
