from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.a = nn.Dropout(p)
        self.b = nn.Dropout(p)
        self.c = nn.Dropout(p)
        self.d = self.e = nn.Dropout(p)

    def forward(self, x):
        for layer in (self.a, self.d):
            x = layer(x)
        return self.helper(x)

    def helper(self, x):
        return x * self.c.p if self.training else self.b.forward(x)
