from torch import nn


class Net(nn.Module):
    # Its use is commented out, and nothing says why.
    def __init__(self, dim, hidden, dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)
        # self.drop = nn.Dropout(dropout)

    def forward(self, x):
        x = self.fc1(x).relu()
        # x = self.drop(x)
        return self.fc2(x)


class Stored(nn.Module):
    def __init__(self, dim, hidden, dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.dropout = dropout
        self.fc = nn.Linear(dim, hidden)

    def forward(self, x):
        # return F.dropout(self.fc(x), self.dropout, self.training)
        return self.fc(x)
