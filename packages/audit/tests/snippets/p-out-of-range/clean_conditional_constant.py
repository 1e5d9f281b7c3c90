from torch import nn

from .settings import PERCENT

P = 50 if PERCENT else 0.5
drop = nn.Dropout(P / 100 if PERCENT else P)
