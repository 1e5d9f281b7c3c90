import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        print(f"mean {F.dropout(x, 0.5).mean()}")  #! functional-always-on
        return x
