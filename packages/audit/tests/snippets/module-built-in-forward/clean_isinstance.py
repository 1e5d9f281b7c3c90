from torch import nn


class Net(nn.Module):
    def forward(self, x):
        for layer in self.layers:
            if isinstance(layer, nn.Dropout):
                continue
            x = layer(x)
        return x
