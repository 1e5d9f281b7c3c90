import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, inputs):
        x, dropout_switch = inputs
        for layer, p in zip(self.layers, self.rates):
            x = layer(x)
            # Whoever calls decides: 1 in training, 0 in evaluation.
            if p > 0.0 and dropout_switch:
                x = F.dropout(x, p)
        return x


class Block(nn.Module):
    def forward(self, x, use_dropout=False):
        if use_dropout:
            x = F.dropout(x, 0.1)
        return x
