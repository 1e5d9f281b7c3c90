from torch import nn


class Net(nn.Module):
    def __init__(self, flat):
        super().__init__()
        self.flat = flat
        self.conv = nn.Conv2d(3, 8, 3)
        self.drop = nn.Dropout2d(0.5)

    def forward(self, x):
        x = self.conv(x)
        if self.flat:
            x = x.flatten(1)
        return self.drop(x)
