from torch import nn


class Frozen(nn.Module):
    """Always in eval: what is meant."""

    def __init__(self, net):
        super().__init__()
        self.net = net.eval()
        self.drop = nn.Dropout(0.1)

    def train(self, mode=True):
        return self


class AlsoFrozen(nn.Module):
    def train(self, mode: bool = True):
        return super().train(False)


class Again(nn.Module):
    def train(self, mode=True):
        super().train()
        self.eval()
        return self
