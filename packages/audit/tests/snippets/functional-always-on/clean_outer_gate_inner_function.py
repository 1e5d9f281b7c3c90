import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, xs):
        if self.training:

            def step(x):
                return F.dropout(x, self.p)

            xs = [step(x) for x in xs]
        return xs
