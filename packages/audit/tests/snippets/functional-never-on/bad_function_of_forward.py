import torch.nn.functional as F
from torch import nn


def block(x, w):
    return F.alpha_dropout(F.selu(x @ w), 0.1)  #! functional-never-on


class Net(nn.Module):
    def forward(self, x):
        return block(x, self.w)


print(F.feature_alpha_dropout(x, 0.2))  #! functional-never-on advice
