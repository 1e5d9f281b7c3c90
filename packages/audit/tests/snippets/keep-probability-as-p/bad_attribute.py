from torch import nn


class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.drop = nn.Dropout(p=config.keep_prob)  #! keep-probability-as-p
