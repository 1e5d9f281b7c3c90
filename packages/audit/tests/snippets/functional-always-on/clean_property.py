import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    @property
    def current_p(self):
        return self.p if self.training else 0.0

    def forward(self, x):
        return F.dropout(x, self.current_p)
