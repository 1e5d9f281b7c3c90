from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drops = [nn.Dropout(p), nn.Dropout(p)]  #! module-not-registered

    def forward(self, x):
        for drop in self.drops:
            x = self.fc(drop(x))
        return x
