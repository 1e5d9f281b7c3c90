from torch import nn


class M(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.drops = nn.ModuleList()  #! dropout-never-used advice
        for _ in range(3):
            self.drops.append(nn.Dropout(p))
    def forward(self, x):
        return self.fc(x)
