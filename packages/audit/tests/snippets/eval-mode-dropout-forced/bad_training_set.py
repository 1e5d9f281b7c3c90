from torch import nn


def enable_dropout(model):
    for m in model.modules():
        if isinstance(m, nn.Dropout):
            m.training = True  #! eval-mode-dropout-forced advice
