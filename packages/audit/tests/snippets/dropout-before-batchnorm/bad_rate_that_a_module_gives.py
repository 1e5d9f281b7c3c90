from torch import nn


class Mlp(nn.Module):
    def __init__(self, width, drop=0.0):
        super().__init__()
        self.drop = nn.Dropout(drop)
        self.fc = nn.Linear(width, width)
        self.bn = nn.BatchNorm1d(width)

    def forward(self, x):
        return self.bn(self.fc(self.drop(x)))  #! dropout-before-batchnorm advice


class Net(nn.Module):
    def __init__(self, width, drop=0.0):
        super().__init__()
        self.first = Mlp(width)
        self.second = Mlp(width, drop=drop)

    def forward(self, x):
        return self.second(self.first(x))


# A whole model is built by who uses the file: its default is not what it is.
class Whole(nn.Module):
    def __init__(self, width, drop=0.0):
        super().__init__()
        self.drop = nn.Dropout(drop)
        self.fc = nn.Linear(width, width)
        self.bn = nn.BatchNorm1d(width)

    def forward(self, x):
        return self.bn(self.fc(self.drop(x)))  #! dropout-before-batchnorm advice


# It may be built by who is given the class.
class Chosen(nn.Module):
    def __init__(self, width, drop=0.0):
        super().__init__()
        self.drop = nn.Dropout(drop)
        self.fc = nn.Linear(width, width)
        self.bn = nn.BatchNorm1d(width)

    def forward(self, x):
        return self.bn(self.fc(self.drop(x)))  #! dropout-before-batchnorm advice


KINDS = {"chosen": Chosen}


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.only = Chosen(8)

    def forward(self, x):
        return self.only(x)


if __name__ == "__main__":
    Whole(8)
