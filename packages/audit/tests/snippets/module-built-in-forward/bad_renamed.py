from torch import nn as N
from torch.nn import AlphaDropout as Alpha


class Net(N.Module):
    def forward(self, x):
        return Alpha(0.05)(x)  #! module-built-in-forward
