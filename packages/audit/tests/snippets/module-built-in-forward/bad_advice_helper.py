from torch import nn


def head(model, x):
    return nn.Dropout(model.p)(model(x))  #! module-built-in-forward advice


def mixed(x, y, p=0.1):
    drop = nn.Dropout(p)  #! module-built-in-forward advice
    return drop(x) + drop(y)


NOISES = {"drop": lambda x: nn.Dropout(0.5)(x)}  #! module-built-in-forward advice
