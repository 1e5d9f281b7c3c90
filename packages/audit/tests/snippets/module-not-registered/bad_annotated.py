from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drops: list[nn.Module] = [nn.Dropout(p)]  #! module-not-registered

    def forward(self, x):
        return self.drops[0](x)
