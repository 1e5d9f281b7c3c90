from torch import nn


class Encoder(nn.Module):
    # Another class runs its children.
    def __init__(self, rate):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.drop = nn.Dropout(rate)

    def forward(self, x):
        return self.fc(x)


class Net(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.encoder = Encoder(rate)

    def forward(self, x):
        for layer in list(self.encoder.children())[1:]:
            x = layer(x)
        return x
