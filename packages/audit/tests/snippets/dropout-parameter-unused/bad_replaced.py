from torch import nn


class M(nn.Module):
    def __init__(self, d, dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        dropout = 0.5
        self.drop = nn.Dropout(dropout)
        self.fc = nn.Linear(d, d)
    def forward(self, x):
        return self.drop(self.fc(x))
