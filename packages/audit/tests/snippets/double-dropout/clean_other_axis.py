from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.1)
        self.fc = nn.Linear(8, 8)

    def forward(self, x, y):
        x = self.drop(x)
        y = self.drop(y)
        return self.fc(x) + self.fc(y)
