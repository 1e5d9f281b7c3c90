from torch import nn


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)

    def forward(self, x):
        if not self.training:
            self.drop.p = 0.0
        return self.drop(x)


def begin(model, p):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = p
