import torch
import torch.nn.functional as F
from torch import nn


class Grand(nn.Module):
    def __init__(self, dropnode_rate=0.5):
        super().__init__()
        self.dropnode_rate = dropnode_rate

    def drop_node(self, x):
        rates = torch.FloatTensor([self.dropnode_rate]).expand(x.size(0))
        if self.training:
            return torch.bernoulli(1.0 - rates).unsqueeze(1) * x
        return x * (1.0 - self.dropnode_rate)

    def forward(self, x):
        return self.drop_node(x)
