from torch import nn


class M0(nn.Module):
    def __init__(self, d, **kwargs):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.dropout = nn.Dropout(kwargs["dropout"])  #! dropout-never-used advice
    def forward(self, x):
        return self.fc(x)
class N0(nn.Module):
    def __init__(self, d, **kwargs):
        super().__init__()
        self.fc = nn.Linear(d, d, kwargs["dropout"])
    def forward(self, x):
        return self.fc(x)


class M1(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        p = cfg.model.dropout
        self.dropout = nn.Dropout(p)  #! dropout-never-used advice
    def forward(self, x):
        return self.fc(x)


CHOICES = ["dropout", "lr", "depth"]
class M2(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.dropout = nn.Dropout(p)  #! dropout-never-used advice
    def forward(self, x):
        return self.fc(x)


class M3(nn.Module):
    def __init__(self, d, hp):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.dropout = nn.Dropout(0.1)  #! dropout-never-used advice
    def forward(self, x):
        return self.fc(x)
def build3(trial):
    p = trial.suggest_float("dropout", 0.0, 0.5)
    space = {"dropout": p, "kind": "dropout"}
    return M3(3, space["dropout"])
