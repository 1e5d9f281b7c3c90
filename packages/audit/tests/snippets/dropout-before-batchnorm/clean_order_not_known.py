from torch import nn


class Base(nn.Module):
    def __init__(self, d, p, order):
        super().__init__()
        self.order = order
        self.steps = nn.ModuleDict(
            {"fc": nn.Linear(d, d), "bn": nn.BatchNorm1d(d), "drop": nn.Dropout(p), "act": nn.Tanh()}
        )

    def mix(self, x):
        for name in self.order.split("."):
            x = self.steps[name](x)
        return x


class Net(Base):
    def forward(self, x):
        x = self.mix(x)
        return self.mix(x * 2)
