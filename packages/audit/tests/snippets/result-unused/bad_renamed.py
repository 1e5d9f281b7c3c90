from torch import nn
from torch.nn.functional import dropout as d


class Net(nn.Module):
    def forward(self, x):
        if self.deep:
            d(x, self.p, self.training)  #! result-unused
        return x
