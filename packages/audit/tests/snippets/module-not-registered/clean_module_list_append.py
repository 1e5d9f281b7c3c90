from torch import nn


class Net(nn.Module):
    def __init__(self, n, p):
        super().__init__()
        self.drops = nn.ModuleList()
        for _ in range(n):
            self.drops.append(nn.Dropout(p))
