from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        drop = nn.Dropout(p)
        self.drop = drop
        self.order = (drop, "fc")
