import torch.nn.functional as F
from torch import nn


# Tacotron 2 wants it on at all times, and says so of its prenet.
class Prenet(nn.Module):
    def forward(self, x):
        for linear in self.layers:
            x = F.dropout(F.relu(linear(x)), p=0.5, training=True)
        return x
