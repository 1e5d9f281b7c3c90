from torch import nn


class Added(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.fc = nn.Linear(8, 8)
        self.add_module("drop", nn.Dropout(p))
        self.head = nn.Sequential()
        self.head.add_module("head_drop", nn.Dropout(p))

    def forward(self, x):
        return self.head(self.drop(self.fc(x)).relu())


class Block(nn.Sequential):
    def __init__(self, p=0.1):
        super().__init__()
        self.add_module("fc", nn.Linear(8, 8))
        self.add_module("block_drop", nn.Dropout(p))


class Looped(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.add_module("a", nn.Linear(8, 8))
        self.add_module("loop_drop", nn.Dropout(p))

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


class Named(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.add_module("named_drop", nn.Dropout(p))
        self.regular = nn.Sequential(nn.Dropout(p))

    def forward(self, x):
        return self.regular(getattr(self, "named_drop")(x).relu())
