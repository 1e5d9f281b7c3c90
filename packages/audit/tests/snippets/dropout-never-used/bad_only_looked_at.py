import torch.nn.functional as F
from torch import nn


class M0(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.dropout = nn.Dropout(p)  #! dropout-never-used advice
    def forward(self, x):
        return self.fc(x)
    def extra_repr(self):
        return f"p={self.dropout.p}"


class M1(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.dropout = nn.Dropout(p)  #! dropout-never-used advice
    def forward(self, x):
        return self.fc(x)
    def set_p(self, p):
        self.dropout.p = p


class M2(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p) if p else None  #! dropout-never-used advice
    def forward(self, x):
        x = self.fc(x)
        if self.drop is not None:
            x = F.relu(x)
        return x
