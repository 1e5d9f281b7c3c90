from torch import nn


class Net(nn.Module):
    def forward(self, x):
        if x.dim() == 4:
            x = nn.Dropout2d(self.p)(x)  #! module-built-in-forward
        return x
