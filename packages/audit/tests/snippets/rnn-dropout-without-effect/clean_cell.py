from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.cell = nn.LSTMCell(10, 20)
        self.drop = nn.Dropout(p)
