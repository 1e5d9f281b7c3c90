from torch import nn


ACTS = {"relu": nn.ReLU, "tanh": nn.Tanh}
class M0(nn.Module):
    def __init__(self, d, p, kind="relu"):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.fc = nn.Linear(d, d)
        self.non_lin = ACTS[kind]()
        self.bn = nn.BatchNorm1d(d)
    def forward(self, x):
        return self.bn(self.non_lin(self.fc(self.drop(x))))  #! dropout-before-batchnorm advice


class M1(nn.Module):
    def __init__(self, d, p, kind="ReLU"):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.fc = nn.Linear(d, d)
        self.g = getattr(nn, kind)()
        self.bn = nn.BatchNorm1d(d)
    def forward(self, x):
        return self.bn(self.g(self.fc(self.drop(x))))  #! dropout-before-batchnorm advice


def build2(d, p, kind):
    act = {"relu": nn.ReLU(), "tanh": nn.Tanh()}[kind]
    return nn.Sequential(nn.Linear(d, d), nn.Dropout(p), act, nn.BatchNorm1d(d))  #! dropout-before-batchnorm advice


class M3(nn.Module):
    def __init__(self, d, p, kind):
        super().__init__()
        self.drop = nn.Dropout(p)
        if kind == "a":
            self.fc = nn.Linear(d, d)
        else:
            self.fc = nn.Conv1d(d, d, 1)
        self.bn = nn.BatchNorm1d(d)
    def forward(self, x):
        return self.bn(self.fc(self.drop(x)))  #! dropout-before-batchnorm advice
