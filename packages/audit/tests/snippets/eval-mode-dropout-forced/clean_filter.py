from torch import nn


def enable(model):
    model.eval()
    for module in filter(lambda m: isinstance(m, nn.modules.dropout._DropoutNd), model.modules()):
        module.train()


def enable_norms(model):
    for module in filter(lambda m: isinstance(m, nn.BatchNorm2d), model.modules()):
        module.train()


def enable_chosen(model, is_chosen):
    for module in filter(is_chosen, model.modules()):
        module.train()


def turn_off(model):
    for module in filter(lambda m: isinstance(m, nn.Dropout), model.modules()):
        module.eval()
