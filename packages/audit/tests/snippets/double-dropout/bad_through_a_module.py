from torch import nn


class Embed(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.table = nn.Embedding(size, size)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        x = self.table(x)
        x = self.drop(x)
        return x


class Feed(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(size, size)

    def forward(self, x):
        x = self.drop(x)  #! double-dropout advice
        return self.fc(x)


class Net(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.embed = Embed(size)
        self.feed = Feed(size)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        x = self.embed(x)
        x = self.drop(x)  #! double-dropout advice
        return self.feed(x)
