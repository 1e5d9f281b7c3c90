import haiku.nets as F


def net(x):
    return F.alpha_dropout(x, 0.1)
