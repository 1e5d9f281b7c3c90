from torch import nn


class Drop(nn.Module):
    def __init__(self, p=1.0):
        super().__init__()
        self.drop = nn.Dropout(p)
