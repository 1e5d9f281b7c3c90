import torch.nn.functional as F
from torch import nn


class SNN(nn.Module):
    def forward(self, x):
        return F.feature_alpha_dropout(x, self.p, self.training)
