from torch import nn


class B(nn.Module):
    def __init__(self):
        super().__init__()
        self.d = nn.Dropout(0.5)

    def forward(self, x):
        return self.d(x)


class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [B() for _ in range(3)]  #! module-not-registered

    def forward(self, x):
        for l in self.layers:
            x = l(x)
        return x
