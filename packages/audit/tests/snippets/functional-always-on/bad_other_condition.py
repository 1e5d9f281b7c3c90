import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        if x is None:
            return None
        y = F.dropout(x, 0.1) if self.noisy else x  #! functional-always-on
        return self.p and F.dropout(y, self.p)  #! functional-always-on
