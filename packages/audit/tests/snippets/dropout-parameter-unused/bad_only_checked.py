from torch import nn


class M(nn.Module):
    def __init__(self, d, dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.fc = nn.Linear(d, d)
        assert 0 <= dropout <= 1
    def forward(self, x):
        return self.fc(x)
