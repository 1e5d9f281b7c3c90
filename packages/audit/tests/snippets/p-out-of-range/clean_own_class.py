from torch import nn


class Dropout(nn.Module):
    def __init__(self, percent):
        super().__init__()
        self.drop = nn.Dropout(percent / 100)


drop = Dropout(50)
