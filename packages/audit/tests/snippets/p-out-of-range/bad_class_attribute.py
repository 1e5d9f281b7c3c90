from torch import nn


class Net(nn.Module):
    RATE = 30

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(self.RATE)  #! p-out-of-range
