from torch import nn


class Signature(nn.Module):
    def __init__(self, dim, out, dropout=0.1):
        # Unused arguments keep the signature.
        super().__init__()
        self.fc = nn.Linear(dim, out)

    def forward(self, x):
        return self.fc(x)


class Said(nn.Module):
    # Unused at the moment.
    def __init__(self, dim, out, dropout=0.1):  # unused by this layer
        super().__init__()
        self.fc = nn.Linear(dim, out)

    def forward(self, x):
        return self.fc(x)


class WithOthers(nn.Module):
    def __init__(self, dim, out, dropout=0.1):
        # Unused heads and dropout come from an older version.
        super().__init__()
        self.fc = nn.Linear(dim, out)

    def forward(self, x):
        return self.fc(x)
