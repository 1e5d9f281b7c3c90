from torch import nn
from torch.nn.modules.dropout import _DropoutNd


def enable_dropout(model):
    # Every dropout module there is: the rule is for those who name one kind.
    for m in model.modules():
        if isinstance(m, _DropoutNd):
            m.train()
