from functools import partial

import torch.nn.functional as F
from torch import nn

drop = partial(F.dropout, training=True)  #! training-literal advice


class Held(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.drop = partial(F.dropout2d, p=p, training=True)  #! training-literal advice

    def forward(self, x):
        return self.drop(x) + drop(x, p=0.2) + self.drop(2 * x)
