import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, xs):
        return map(lambda x: F.dropout(x, 0.2), xs)  #! functional-always-on
