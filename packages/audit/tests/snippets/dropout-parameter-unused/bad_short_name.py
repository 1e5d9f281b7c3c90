from torch import nn


class A(nn.Module):
    def __init__(self, dim, out, droprate=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.fc = nn.Linear(dim, out)

    def forward(self, x):
        return self.fc(x)
