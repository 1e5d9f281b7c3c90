from torch import nn


class Head(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.fc = nn.Linear(64, 10)
        self.drop = nn.Dropout(p)  #! dropout-never-used advice

    def forward(self, x):
        # x = self.drop(x)
        return self.fc(x)
