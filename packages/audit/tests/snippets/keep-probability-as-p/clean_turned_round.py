from torch import nn


class Net(nn.Module):
    def __init__(self, keep_prob):
        super().__init__()
        # The name stays and its meaning does not: poor style, right value.
        keep_prob = 1 - keep_prob
        self.drop = nn.Dropout(keep_prob)
