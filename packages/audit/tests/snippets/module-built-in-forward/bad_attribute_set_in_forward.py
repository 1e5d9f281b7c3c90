from torch import nn


class Net(nn.Module):
    def forward(self, x):
        self.drop = nn.Dropout(self.p)  #! module-built-in-forward
        return self.drop(x)
