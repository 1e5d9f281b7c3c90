import torch.nn as tnn

TF = tnn.functional
drop = TF.dropout


class Net(tnn.Module):
    def forward(self, x):
        return drop(x, 0.1)  #! functional-always-on
