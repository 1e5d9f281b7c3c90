from torch import nn


class A(nn.Module):
    def __init__(self, dim, out, keep_prob=0.8):  #! dropout-parameter-unused advice
        super().__init__()
        self.fc = nn.Linear(dim, out)

    def forward(self, x):
        return self.fc(x)
