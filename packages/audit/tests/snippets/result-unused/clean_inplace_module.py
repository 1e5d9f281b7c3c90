from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p, inplace=True)
        self.drop2 = nn.Dropout(p, True)

    def forward(self, x):
        x = self.fc(x)
        self.drop(x)
        x = self.out(x)
        self.drop2(x)
        return x
