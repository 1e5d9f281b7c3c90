from torch import nn


class G(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(8, 8)
        self.drop = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x):
        y, _ = self.rnn(self.drop(x))  #! dropout-before-batchnorm advice
        return self.norm(y[:, -1])
