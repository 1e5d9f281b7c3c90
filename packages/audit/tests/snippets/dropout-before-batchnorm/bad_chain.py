from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 16)
        self.drop = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(16)

    def forward(self, x):
        x = self.fc(x)
        x = self.drop(x)  #! dropout-before-batchnorm advice
        x = self.norm(x)
        return x
