from torch import nn


class Net(nn.Module):
    def __init__(self, n, p):
        super().__init__()
        self.drops = []  #! module-not-registered
        for _ in range(n):
            self.drops.append(nn.Dropout(p))

    def forward(self, x):
        for drop in self.drops:
            x = self.fc(drop(x))
        return x
