from torch import nn


class Net(nn.Module):
    def forward(self, x):
        return self.functional.dropout(x, 0.1)
