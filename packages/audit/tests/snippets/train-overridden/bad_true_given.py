import torch.nn as nn


class Tower(nn.Module):
    def __init__(self, body):
        super(Tower, self).__init__()
        self.body = body
        self.drop = nn.Dropout(0.2)

    def train(self, mode: bool = True):  #! train-overridden
        super(Tower, self).train(True)
        self.body.eval()
        return self

    def forward(self, x):
        return self.drop(self.body(x))


class Other(nn.Module):
    def train(self, mode=True):  #! train-overridden
        nn.Module.train(self)
        return self
