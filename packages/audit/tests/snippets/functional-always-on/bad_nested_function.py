import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, xs):
        def step(x):
            return F.dropout(x, self.p)  #! functional-always-on

        return [step(x) for x in xs]
