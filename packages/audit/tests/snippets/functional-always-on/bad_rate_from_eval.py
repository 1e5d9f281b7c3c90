import ast
import builtins
from ast import literal_eval

import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.p = eval(args.dropout)
        self.q = ast.literal_eval(args.attention_dropout)

    def forward(self, x):
        x = F.dropout(x, self.p).cos()  #! functional-always-on
        x = F.dropout(x, self.q).sin()  #! functional-always-on
        if eval("1 + 1"):
            return F.dropout(x, literal_eval("0.1"))  #! functional-always-on
        return F.dropout(x, builtins.eval("0.1"))  #! functional-always-on
