import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __call__(self, x):
        return F.dropout(x, 0.1)  #! functional-always-on
