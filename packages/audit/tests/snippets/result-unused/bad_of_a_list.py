from torch import nn


class ByKey(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.drops = nn.ModuleDict({"a": nn.Dropout(p), "b": nn.Dropout(p)})

    def forward(self, x):
        self.drops["a"](x)  #! result-unused
        return x


class Loop(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.drops = nn.ModuleList([nn.Dropout(p) for _ in range(3)])

    def forward(self, x):
        for drop in self.drops:
            drop(x)  #! result-unused
        return x


class ByNumber(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.drops = nn.ModuleList()
        for _ in range(3):
            self.drops.append(nn.Dropout(p))

    def forward(self, x):
        self.drops[0](x)  #! result-unused
        return x
