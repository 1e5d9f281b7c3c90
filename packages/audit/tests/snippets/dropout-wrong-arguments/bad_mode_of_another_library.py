import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p

    def forward(self, a, b, c, d, e, f, g):
        a = F.dropout(a, self.p, train=self.training)  #! dropout-wrong-arguments
        b = F.dropout(b, self.p, is_training=self.training)  #! dropout-wrong-arguments
        c = F.dropout2d(c, self.p, is_train=self.training)  #! dropout-wrong-arguments
        d = F.dropout(d, self.p, mode="train")  #! dropout-wrong-arguments
        e = F.dropout(e, self.p, deterministic=not self.training)  #! dropout-wrong-arguments
        f = F.dropout(f, keep_prob=0.9)  #! dropout-wrong-arguments
        g = F.alpha_dropout(g, self.p, train=self.training)  #! dropout-wrong-arguments
        return a, b, c, d, e, f, g
