from torch import nn


class Net(nn.Module):
    def forward(self, x):
        for layer, p in zip(self.layers, self.ps):
            x = nn.Dropout(p)(layer(x))  #! module-built-in-forward
        return x
