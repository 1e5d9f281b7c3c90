from torch import nn


class F:
    @staticmethod
    def dropout(x, p):
        return x


class Net(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.1)
