from torch import nn


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ff = nn.Linear(config.dim, config.dim)
        self.dropout = nn.Dropout(config.dropout)  #! dropout-never-used advice

    def forward(self, x):
        return self.ff(x)


class Named(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ff = nn.Linear(8, 8)
        # Note: it is not used. (An observation, and no reason.)
        self.drop = nn.Dropout(p=config.get("drop", 0.1))  #! dropout-never-used advice

    def forward(self, x):
        return self.ff(x)
