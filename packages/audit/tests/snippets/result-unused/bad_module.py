from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        x = self.fc(x)
        self.drop(x)  #! result-unused
        return x
