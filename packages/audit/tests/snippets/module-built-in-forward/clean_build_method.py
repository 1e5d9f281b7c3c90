from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p
        self.build()

    def build(self):
        self.drop = nn.Dropout(self.p)

    def forward(self, x):
        return self.drop(x)
