from torch import nn


class Net(nn.Module):
    def __init__(self, n, p):
        super().__init__()
        self.drops = []
        for _ in range(n):
            self.drops.append(nn.Dropout(p))
        self.drops = nn.ModuleList(self.drops)
