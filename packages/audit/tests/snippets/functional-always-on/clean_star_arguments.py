import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x, *args, **kwargs):
        # Either may hold training: it cannot be known.
        a = F.dropout(x, *args)
        b = F.dropout(x, self.p, **kwargs)
        return a + b
