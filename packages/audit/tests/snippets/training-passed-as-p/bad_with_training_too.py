import torch
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        return torch.nn.functional.dropout(x, self.training, training=self.training)  #! training-passed-as-p
