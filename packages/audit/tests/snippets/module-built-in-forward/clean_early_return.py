from torch import nn


class Net(nn.Module):
    def forward(self, x):
        if not self.training:
            return x
        return nn.Dropout(self.p)(x)
