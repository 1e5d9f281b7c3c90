import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        with torch.autocast("cuda"):
            try:
                x = F.dropout(x, self.p)  #! functional-always-on
            finally:
                self.calls += 1
        return x
