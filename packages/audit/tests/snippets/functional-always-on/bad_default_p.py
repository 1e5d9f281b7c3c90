import torch.nn.functional as F
from torch import nn


class GCN(nn.Module):
    def forward(self, x):
        return F.dropout(x)  #! functional-always-on
