from torch import nn
from torch.nn import functional as fn


class Net(nn.Module):
    def forward(self, x):
        fn.dropout3d(input=x, p=0.1, training=self.training, inplace=False)  #! result-unused
        return x
