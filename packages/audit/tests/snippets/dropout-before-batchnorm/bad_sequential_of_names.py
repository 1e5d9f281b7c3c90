from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        first = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Dropout(0.2))  #! dropout-before-batchnorm advice
        second = nn.Sequential(nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8))
        self.net = nn.Sequential(first, second)

    def forward(self, x):
        return self.net(x)
