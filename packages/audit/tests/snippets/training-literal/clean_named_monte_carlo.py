import torch.nn.functional as F
from torch import nn


class MonteCarloDropout(nn.Module):
    def forward(self, x):
        # Meant: the class says so.
        return F.dropout(x, self.p, True)
