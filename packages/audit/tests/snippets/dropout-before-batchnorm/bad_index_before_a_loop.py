from torch import nn


class Net(nn.Module):
    def __init__(self, d, n, p, head):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.layers = nn.ModuleList()
        self.layers.append(nn.Linear(d, d))
        self.layers.append(nn.Sequential(nn.BatchNorm1d(d), nn.ReLU()))
        for _ in range(n):
            self.layers.append(nn.Linear(d, d))
        if head:
            self.layers.append(nn.Sequential(nn.Linear(d, d), nn.BatchNorm1d(d)))
        else:
            self.layers.append(nn.Linear(d, d))

    def forward(self, x):
        x = self.layers[0](self.drop(x))  #! dropout-before-batchnorm advice
        x = self.layers[1](x)
        x = self.drop(x)  #! dropout-before-batchnorm advice
        return self.layers[-1](x)
