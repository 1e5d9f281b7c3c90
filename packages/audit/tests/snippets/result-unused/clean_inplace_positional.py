import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x):
        x = self.fc(x)
        F.dropout(x, self.p, self.training, True)
        return x
