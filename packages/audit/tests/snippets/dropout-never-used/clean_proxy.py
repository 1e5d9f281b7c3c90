from torch import nn


class AttrProxy:
    def __init__(self, module, prefix):
        self.module = module
        self.prefix = prefix

    def __getitem__(self, i):
        return getattr(self.module, self.prefix + str(i))


class Memory(nn.Module):
    # drop_0 is one of those that the proxy takes.
    def __init__(self, size, rate=0.1):
        super().__init__()
        self.fc = nn.Linear(size, size)
        self.drop_0 = nn.Dropout(rate)
        self.drops = AttrProxy(self, "drop_")

    def forward(self, x):
        return self.drops[0](self.fc(x))
