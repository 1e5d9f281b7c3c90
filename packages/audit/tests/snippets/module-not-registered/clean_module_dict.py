from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drops = nn.ModuleDict({"in": nn.Dropout(p), "out": nn.Dropout(p)})
