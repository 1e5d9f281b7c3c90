import torch.nn.functional as F
from torch import nn

KINDS = {1: F.dropout1d, 2: F.dropout2d}


class Net(nn.Module):
    def __init__(self, p, wide):
        super().__init__()
        self.p = p
        self.drop = F.dropout2d if wide else F.dropout

    def forward(self, x):
        x = self.drop(x, self.p)  #! functional-always-on
        x = KINDS[2](x, self.p)  #! functional-always-on
        return getattr(F, "dropout")(x + 1, self.p)  #! functional-always-on
