from torch import nn


class Layers(nn.ModuleList):
    pass


class Net(nn.Module):
    def __init__(self, n, p):
        super().__init__()
        self.drops = Layers([nn.Dropout(p) for _ in range(n)])
