import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, xs):
        out = []
        for x in xs:
            if not self.training:
                out.append(x)
                continue
            out.append(F.dropout(x, self.p))
        return out
