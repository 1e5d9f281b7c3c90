from torch import nn


class Net(nn.Module):
    def forward(self, x):
        return nn.Dropout(self.p)(x) if self.training else x
