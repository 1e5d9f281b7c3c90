from torch import nn


def set_p(model, p):
    for m in model.modules():
        if isinstance(m, nn.Dropout):
            m.p = p
