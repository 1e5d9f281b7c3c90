from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.other = nn.Dropout(p)
        self.other = self.other()  #! dropout-wrong-arguments

    def forward(self, x, y):
        x = self.drop(x, training=self.training)  #! dropout-wrong-arguments
        y = self.drop(y, 0.5)  #! dropout-wrong-arguments
        return x, self.other(y.relu())
