from torch import nn


class Net(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
        self.bn = nn.BatchNorm1d(d)

    def forward(self, x):
        return self.bn(self.fc(x))

    def infer(self, x):
        return self.bn(self.fc(self.drop(x)))

    def test_base(self, x):
        return self.bn(self.drop(x))

    def generate(self, x):
        self.eval()
        return self.bn(self.fc(self.drop(x)))
