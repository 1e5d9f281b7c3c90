from torch import nn


def loss_of(model, x, y, criterion):
    return criterion(model.fc(x), y) + model.weight


class Head(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.weight = 0.1
        self.fc = nn.Linear(64, 10)
        self.drop = nn.Dropout(p)  #! dropout-never-used advice

    def forward(self, x, y, criterion):
        return loss_of(self, x, y, criterion)
