from torch import nn


class AttrProxy:
    def __init__(self, module, prefix):
        self.module = module
        self.prefix = prefix

    def __getitem__(self, i):
        return getattr(self.module, self.prefix + str(i))


class Memory(nn.Module):
    def __init__(self, size, hops=3, rate=0.1):
        super().__init__()
        self.dropout = nn.Dropout(rate)  #! dropout-never-used advice
        for hop in range(hops):
            self.add_module(f"C_{hop}", nn.Linear(size, size))
        self.layers = AttrProxy(self, "C_")

    def forward(self, x):
        return self.layers[1](self.layers[0](x))
