from torch import nn


def enable_dropout(model):
    [m.train() for m in model.modules() if isinstance(m, nn.Dropout)]  #! eval-mode-dropout-forced advice
