import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, xs):
        for x in xs:
            F.dropout(x, self.p, training=self.training)  #! result-unused
        return xs
