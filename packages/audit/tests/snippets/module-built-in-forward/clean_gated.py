from torch import nn


class Net(nn.Module):
    def forward(self, x):
        if self.training:
            x = nn.Dropout(self.p)(x)
        return x
