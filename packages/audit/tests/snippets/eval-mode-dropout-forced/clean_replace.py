from torch import nn


def remove(model):
    for name, child in model.named_children():
        if child.__class__.__name__.startswith("Dropout"):
            setattr(model, name, nn.Identity())
        else:
            remove(child)
