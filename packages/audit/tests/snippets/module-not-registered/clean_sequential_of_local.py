from torch import nn


class Net(nn.Module):
    def __init__(self, n, p):
        super().__init__()
        layers = []
        for _ in range(n):
            layers += [nn.Linear(8, 8), nn.Dropout(p), nn.ReLU()]
        self.net = nn.Sequential(*layers)
