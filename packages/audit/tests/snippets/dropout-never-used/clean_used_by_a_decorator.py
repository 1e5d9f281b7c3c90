from torch import nn


def dropped(forward):
    def wrapper(self, x):
        return self.drop(forward(self, x))

    return wrapper


class Net(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc = nn.Linear(dim, dim)
        self.drop = nn.Dropout(0.1)

    @dropped
    def forward(self, x):
        return self.fc(x)
