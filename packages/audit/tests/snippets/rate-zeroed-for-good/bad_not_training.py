import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            self.p = 0.0  #! rate-zeroed-for-good
        return F.dropout(x, self.p, self.training)
