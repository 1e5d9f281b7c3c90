from torch import nn


class A(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.fcs = nn.ModuleList([nn.Linear(8, 8)])
        self.drops = nn.ModuleList([nn.Dropout(p) for _ in range(3)])  #! dropout-never-used advice

    def forward(self, x):
        for f in self.fcs:
            x = f(x)
        return x
