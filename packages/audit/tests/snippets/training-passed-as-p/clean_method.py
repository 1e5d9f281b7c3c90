from torch import nn


class Net(nn.Module):
    def dropout(self, x, training):
        return x

    def forward(self, x):
        return self.dropout(x, self.training)
