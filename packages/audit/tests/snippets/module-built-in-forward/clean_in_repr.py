from torch import nn


class Net(nn.Module):
    def extra_repr(self):
        return repr(nn.Dropout(self.p))

    def forward(self, x):
        return x
