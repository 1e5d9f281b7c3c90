import torch.nn.functional as F
from torch import nn


class SNN(nn.Module):
    def forward(self, x):
        live = self.training
        return F.alpha_dropout(x, 0.1, live, False)
