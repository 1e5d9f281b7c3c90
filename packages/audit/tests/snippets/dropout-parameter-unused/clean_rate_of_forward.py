from torch import nn
from elsewhere import Base


class Off(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc = nn.Linear(dim, dim)

    # The signature of the others: by default it drops nothing.
    def forward(self, x, dropout=0.0):
        return self.fc(x)


class First(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc = nn.Linear(dim, dim)

    def forward(self, x, dropout=0.1):
        return nn.functional.dropout(self.fc(x), dropout, self.training)


class Second(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc = nn.Linear(dim, dim)

    def forward(self, x, dropout=0.1):
        return self.fc(x)


class Third(Base):
    def __init__(self, dim):
        super().__init__()
        self.fc = nn.Linear(dim, dim)

    def forward(self, x, dropout=0.1):
        return self.fc(x)
