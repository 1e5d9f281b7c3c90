from torch import nn


class Net(nn.Module):
    def __init__(self, n, p):
        super().__init__()
        # Their weights are lost as well.
        self.blocks = [nn.Sequential(nn.Dropout(p), nn.Linear(8, 8)) for _ in range(n)]  #! module-not-registered

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x
