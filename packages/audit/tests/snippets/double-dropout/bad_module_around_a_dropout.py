from torch import nn


class Noise(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return self.drop(x)


net = nn.Sequential(
    nn.Linear(8, 8),
    Noise(0.1),
    nn.Dropout(0.5),  #! double-dropout advice
    nn.Linear(8, 8),
)
