from torch import nn


def enable(model):
    model.eval()
    for module in filter(lambda m: isinstance(m, nn.Dropout), model.modules()):
        module.train()  #! eval-mode-dropout-forced advice


def enable_all(model):
    for layer in list(filter(lambda m: type(m) == nn.Dropout, model.modules())):
        layer.train()  #! eval-mode-dropout-forced advice


def enable_in_list(model):
    [m.train() for m in filter(lambda m: isinstance(m, nn.Dropout), model.modules())]  #! eval-mode-dropout-forced advice


def enable_named(model):
    drops = [m for m in model.modules() if isinstance(m, nn.Dropout)]
    for drop in drops:
        drop.training = True  #! eval-mode-dropout-forced advice
