from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.dropouts = [0.1, 0.2, 0.3]
