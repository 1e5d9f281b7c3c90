from torch import nn


class Net(nn.Module):
    def __init__(self, n, p):
        super().__init__()
        drops = [nn.Dropout(p) for _ in range(n)]
        self.drops = drops
        self.registered = nn.ModuleList(drops)
