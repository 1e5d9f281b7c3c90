from torch import nn

from .run import apply_layers


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return apply_layers({"fc": self.fc}, x, getattr(self, "drop"))


class Other(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.last = nn.Dropout(p)

    def forward(self, x):
        return apply_layers(self, x, ["fc", "last"])


def run_all(model, x):
    for child in model.children():
        x = child(x)
    return x


class Third(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.once = nn.Dropout(p)

    def forward(self, x):
        return run_all(self, x)
