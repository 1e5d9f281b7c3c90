from torch import nn


class Position(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)

    def forward(self, x):
        x = x + 1
        return self.drop(x)


class Net(nn.Module):
    def __init__(self, d, p, q):
        super().__init__()
        self.position = Position(p)
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(p)
        self.more = nn.Dropout(q)

    def embed(self, x):
        return self.drop(self.fc(x))

    def forward(self, x):
        x = self.position(x)
        x = self.drop(x)  #! double-dropout advice
        h = self.embed(x)
        h = self.drop(h)  #! double-dropout advice
        y = self.fc(h)
        if self.drop is not None:
            y = self.drop(y)
        if self.more is not None:
            y = self.more(y)  #! double-dropout advice
        return y
