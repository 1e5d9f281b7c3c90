from torch import nn


def enable_dropout(model):
    for m in model.modules():
        if type(m) == nn.Dropout:
            m.train()  #! eval-mode-dropout-forced advice
