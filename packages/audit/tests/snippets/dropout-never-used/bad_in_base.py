from torch import nn


class Base(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)  #! dropout-never-used advice


class Net(Base):
    def forward(self, x):
        return self.fc(x)
