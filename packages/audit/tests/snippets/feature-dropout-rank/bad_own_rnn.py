from torch import nn

import torchdropout as td


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = td.nn.GRU(4, 8, batch_first=True)
        self.drop = nn.Dropout2d(0.1)

    def forward(self, x):
        y, _ = self.rnn(x)
        return self.drop(y)  #! feature-dropout-rank advice
