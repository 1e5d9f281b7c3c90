from torch import nn


class Net(nn.Module):
    def __init__(self, n, p):
        super().__init__()
        self.drops = nn.ModuleList([nn.Dropout(p) for _ in range(n)])
