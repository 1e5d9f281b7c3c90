from helper import *


class Net(torch.nn.Module):
    def __init__(self, p=0.3):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.bn = torch.nn.BatchNorm1d(8)
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        x = self.drop(x)  #! dropout-before-batchnorm advice
        x = self.bn(self.fc(x))
        return F.dropout(x, 0.1)  #! functional-always-on
