from torch import nn


def applied(x, model):
    return model.fc(model.drop(x))


def all_of(x, model):
    for each in model.children():
        x = each(x)
    return x


class Head(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.fc = nn.Linear(64, 10)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return applied(x, self)


class Other(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.fc = nn.Linear(64, 10)
        self.dropout = nn.Dropout(p)

    def forward(self, x):
        return all_of(x, self)
