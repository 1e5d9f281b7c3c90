import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        return F.alpha_dropout(x, 0.3, training=True)  #! training-literal advice
