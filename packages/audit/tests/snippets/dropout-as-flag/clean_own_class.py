from torch import nn


class Dropout(nn.Module):
    def __init__(self, enabled):
        super().__init__()
        self.enabled = enabled


drop = Dropout(True)
