from torch import nn


class Gate(nn.Module):
    def __init__(self, size=768, dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(768, 256), nn.ReLU(), nn.Linear(256, 1), nn.Sigmoid())

    def forward(self, x):
        return self.gate(x) * x
