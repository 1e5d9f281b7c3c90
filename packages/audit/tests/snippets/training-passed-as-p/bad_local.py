import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        training = self.training
        return F.dropout3d(x, training)  #! training-passed-as-p
