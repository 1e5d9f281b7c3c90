try:
    from torch import nn
    from torch.nn import functional as F
except ImportError as error:
    raise RuntimeError("needs torch") from error


class Net(nn.Module):
    def forward(self, x):
        return F.dropout(x, 0.4)  #! functional-always-on
