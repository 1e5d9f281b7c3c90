from torch import nn


def noisy(x, p):
    return nn.Dropout(p)(x)  #! module-built-in-forward


class Net(nn.Module):
    def forward(self, x):
        return noisy(self.fc(x), self.p)
