from torch import nn


class Added(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.add_module("drop", nn.Dropout(p))  #! dropout-never-used advice

    def forward(self, x):
        return self.fc(x)


class InSequential(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.regular = nn.Sequential(nn.Dropout(p))  #! dropout-never-used advice

    def forward(self, x):
        return self.fc(x)


class Registered(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.register_module("drop_out", nn.Dropout2d(p))  #! dropout-never-used advice

    def forward(self, x):
        return self.fc(x)
