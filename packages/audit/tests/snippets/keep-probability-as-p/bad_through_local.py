from torch import nn


class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        keep_prob = config.keep_prob
        self.drop = nn.Dropout(p=keep_prob)  #! keep-probability-as-p
