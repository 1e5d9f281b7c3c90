from torch import nn


class Net(nn.Module):
    def __init__(self, keep_prob=0.9):
        super().__init__()
        self.keep_prob = keep_prob
        self.drop_prob = 1.0 - self.keep_prob
        self.drop = nn.Dropout(self.drop_prob)
