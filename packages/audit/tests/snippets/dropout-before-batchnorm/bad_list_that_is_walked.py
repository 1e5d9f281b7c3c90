from torch import nn


class G(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.layers = nn.ModuleList()
        for i in range(n):
            self.layers.append(nn.Linear(8, 8))
            self.layers.append(nn.BatchNorm1d(8))
            self.layers.append(nn.ReLU())
            self.layers.append(nn.Dropout(0.5))  #! dropout-before-batchnorm advice

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
