from torch import nn


class Net(nn.Module):
    def __init__(self, dropout=False):
        super().__init__()
        self.drop = nn.Dropout(0.5) if dropout else None
