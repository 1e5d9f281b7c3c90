from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop1 = nn.Dropout(p)
        self.drop2 = nn.Dropout(p)
        self.drops = [self.drop1, self.drop2]

    def forward(self, x):
        return self.drops[1](self.fc(self.drops[0](x)))
