from torch import nn


def check(model):
    for m in model.modules():
        if isinstance(m, nn.Dropout) and m.training:
            raise RuntimeError("dropout is on")
