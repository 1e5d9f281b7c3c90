from torch import nn


class A(nn.Module):
    def __init__(self, dim, out, dropout1=0.1, dropout2=0.2):  #! dropout-parameter-unused advice
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(dim, out), nn.Dropout(dropout1))

    def forward(self, x):
        return self.fc(x)
