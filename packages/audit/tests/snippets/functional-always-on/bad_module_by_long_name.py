from torch.nn.functional import dropout2d
from torch.nn.modules.module import Module


class Net(Module):
    def forward(self, x):
        return dropout2d(x, 0.1)  #! functional-always-on
