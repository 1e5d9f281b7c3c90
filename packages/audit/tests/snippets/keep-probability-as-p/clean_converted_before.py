from torch import nn


class Net(nn.Module):
    def __init__(self, keep_prob):
        super().__init__()
        drop_prob = 1 - keep_prob
        self.drop = nn.Dropout(drop_prob)
