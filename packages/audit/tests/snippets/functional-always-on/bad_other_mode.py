import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.mode = mode

    def forward(self, x, mode):
        if mode != "loop":
            x = F.dropout(x, 0.1)  #! functional-always-on
        if self.mode == "concat":
            x = F.dropout(x + 1, 0.2)  #! functional-always-on
        return x
