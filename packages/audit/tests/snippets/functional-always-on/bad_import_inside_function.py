from torch import nn


class Net(nn.Module):
    def forward(self, x):
        import torch.nn.functional as F

        return F.dropout(x, 0.4)  #! functional-always-on
