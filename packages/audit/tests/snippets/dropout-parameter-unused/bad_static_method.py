from torch import nn


class A(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.blocks = self.make(dim, 0.1)

    @staticmethod
    def make(dim, dropout):  #! dropout-parameter-unused advice
        return nn.Sequential(nn.Linear(dim, dim), nn.ReLU())

    def forward(self, x):
        return self.blocks(x)
