from torch import nn
from blocks import Backbone


class M(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.backbone = Backbone(d)
        self.drop = nn.Dropout(p)
        self.bn = nn.BatchNorm1d(d)
    def forward(self, x):
        return self.bn(self.backbone(self.drop(x)))
