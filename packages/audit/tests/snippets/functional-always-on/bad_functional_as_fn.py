from torch import nn
from torch.nn import functional as fn


class Net(nn.Module):
    def forward(self, x):
        return fn.dropout2d(x, 0.2)  #! functional-always-on
