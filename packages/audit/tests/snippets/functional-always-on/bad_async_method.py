import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    async def forward(self, x):
        return F.dropout(x, 0.5)  #! functional-always-on
