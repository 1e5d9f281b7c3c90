from torch import nn


class Net(nn.Module):
    def forward(self, x):
        return nn.Dropout(0.1).to(x.device)(x)  #! module-built-in-forward
