import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def _mask_tokens(self, x):
        return F.dropout(x, self.p)

    def forward(self, x):
        return self._mask_tokens(x) if self.training else x
