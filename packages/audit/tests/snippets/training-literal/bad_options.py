import torch.nn.functional as F
from torch import nn

OPTIONS = {"p": 0.1, "training": True}  #! training-literal advice


class Block(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.options = dict(p=p, training=True)  #! training-literal advice

    def forward(self, x):
        return F.dropout(F.dropout2d(x, **OPTIONS).relu(), **self.options)


class Local(nn.Module):
    def forward(self, x):
        options = dict(training=False)  #! training-literal advice
        return F.dropout(x, 0.1, **options)
