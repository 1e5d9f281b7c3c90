import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Net(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = F.dropout(x, 0.5)  #! functional-always-on
        y += F.dropout(x, 0.5)  #! functional-always-on
        return torch.cat([y, F.dropout(x, p=0.5)])  #! functional-always-on
