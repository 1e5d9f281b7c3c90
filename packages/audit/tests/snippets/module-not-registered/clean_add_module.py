from torch import nn


class Net(nn.Module):
    def __init__(self, n, p):
        super().__init__()
        self.drops = [nn.Dropout(p) for _ in range(n)]
        for i, drop in enumerate(self.drops):
            self.add_module(f"drop{i}", drop)
