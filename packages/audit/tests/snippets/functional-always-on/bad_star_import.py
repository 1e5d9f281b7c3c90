from torch import nn
from torch.nn.functional import *


class Net(nn.Module):
    def forward(self, x):
        return dropout(relu(x), 0.1)  #! functional-always-on
