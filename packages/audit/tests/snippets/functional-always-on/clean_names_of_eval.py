import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def first(self, x):
        if self.is_eval:
            return x
        return F.dropout(x, 0.1)

    def second(self, x, inference=False):
        return x if inference else F.dropout(x, 0.1)

    def third(self, x, phase):
        if phase != "test":
            x = F.dropout(x, 0.1)
        return x

    def forward(self, x):
        if self.eval_mode:
            return x
        return F.dropout(x, 0.1)
