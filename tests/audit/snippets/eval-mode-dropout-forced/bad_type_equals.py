from torch import nn


def enable_dropout(model):
    for m in model.modules():
        if type(m) == nn.Dropout:  #! eval-mode-dropout-forced advice
            m.train()
