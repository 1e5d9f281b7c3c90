import torch.nn.functional as F
from torch import nn


class FairDropout(nn.Module):
    def forward(self, x):
        if self.p > 0 and (self.training or self.apply_during_inference):
            return F.dropout(x, p=self.p, training=True)
        return x
