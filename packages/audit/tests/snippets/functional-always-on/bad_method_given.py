from elsewhere import feature_dropout

from torch import nn


class FeatureDrop(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        return feature_dropout(x, self.p, self.train)  #! functional-always-on
