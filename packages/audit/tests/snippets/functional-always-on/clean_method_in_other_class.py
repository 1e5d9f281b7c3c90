from torch import nn


class Ops:
    def dropout(self, x, p):
        return x


F = Ops()


class Net(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.1)
