from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.drop1 = nn.Dropout(0.1)
        self.drop2 = nn.Dropout(0.2)
        self.out = nn.Linear(8, 1)

    def forward(self, x):
        x = self.fc(x)
        x = self.drop1(x)
        x = self.drop2(x)  #! double-dropout advice
        return self.out(x)
