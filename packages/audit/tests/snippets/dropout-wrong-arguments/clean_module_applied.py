from elsewhere import Dropout

from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.own = Dropout(p)
        self.one = nn.Dropout(p)
        self.fc = nn.Linear(8, 8)

    def forward(self, x, *inputs, **options):
        x = self.own(x, training=self.training)
        x = self.fc(self.one(input=x))
        y = self.one(*inputs, **options)
        return self.drop(x, self.training), y


class Sub(Net):
    def __init__(self, p):
        super().__init__(p)
        self.drop = Dropout(p)
