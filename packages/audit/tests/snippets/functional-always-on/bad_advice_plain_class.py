import torch.nn.functional as F


# A class with forward and no base is no Module: it has no mode.
class Augment:
    def __init__(self, p):
        self.p = p

    def forward(self, x):
        return F.dropout(x, self.p)  #! functional-always-on advice
