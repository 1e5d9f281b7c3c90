from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.drop.inplace = True

    def forward(self, x):
        x = self.fc(x)
        self.drop(x)
        return x
