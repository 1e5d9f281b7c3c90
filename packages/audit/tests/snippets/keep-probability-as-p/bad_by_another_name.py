import torch.nn.functional as F
from torch import nn

from .blocks import Block


class Net(nn.Module):
    def __init__(self, keep_prob, cfg, keep_dropout=0.8):
        super().__init__()
        self.p = keep_prob
        self.drop = nn.Dropout(cfg.get("keep_prob", 0.9))  #! keep-probability-as-p
        self.last = nn.Dropout(keep_dropout)  #! keep-probability-as-p
        self.first = nn.Dropout(float(keep_prob))  #! keep-probability-as-p
        self.block = Block(8, dropout=keep_prob)  #! keep-probability-as-p advice

    def forward(self, x):
        x = self.first(self.block(x))
        x = self.last(self.drop(x * 2) + 1)
        return F.dropout(x.relu(), self.p, self.training)  #! keep-probability-as-p
