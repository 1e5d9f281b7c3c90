from torch import nn


def init(m):
    if isinstance(m, nn.Linear):
        m.weight.data = nn.Dropout(0.9)(m.weight.data)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.apply(init)

    def forward(self, x):
        return self.fc(x)
