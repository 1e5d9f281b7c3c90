from torch import nn


class Net(nn.Module):
    p = 50

    def __init__(self, p):
        super().__init__()
        self.p = p / 100
        self.drop = nn.Dropout(self.p)
