from torch import nn


class A(nn.Module):
    def __init__(self, hp):
        super().__init__()
        self.hp = hp
        self.fc = nn.Linear(8, 8)
        self.dropout = nn.Dropout(self.hp.dropout)  #! dropout-never-used advice

    def forward(self, x):
        return self.fc(x)
