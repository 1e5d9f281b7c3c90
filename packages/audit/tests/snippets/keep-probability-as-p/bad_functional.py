import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x, keep_prob):
        return F.dropout(x, keep_prob, self.training)  #! keep-probability-as-p
