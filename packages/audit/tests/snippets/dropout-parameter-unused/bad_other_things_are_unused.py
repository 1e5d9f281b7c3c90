from torch import nn


class Pruned(nn.Module):
    def __init__(self, dim, out, dropout=0.1):  #! dropout-parameter-unused advice
        # The unused heads are pruned.
        super().__init__()
        self.fc = nn.Linear(dim, out)

    def forward(self, x):
        return self.fc(x)


class Described(nn.Module):
    def __init__(self, dim, out, dropout=0.1):  #! dropout-parameter-unused advice
        """Builds a layer; unused outputs are set to zero."""
        super().__init__()
        self.fc = nn.Linear(dim, out)

    def forward(self, x):
        return self.fc(x)
