import torch.nn.functional as F
from torch import nn


class Seq2Seq(nn.Module):
    def encode(self, x):
        # Not forward: whoever calls it in eval gets noise all the same.
        return F.dropout(self.embed(x), self.p)  #! functional-always-on

    def forward(self, x):
        return self.out(x)
