from torch import nn


class Net(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body
        self.drop = nn.Dropout(0.1)

    def train(self, mode: bool = True):
        super().train(mode)
        self.body.eval()
        return self

    def forward(self, x):
        return self.drop(self.body(x))


class Other(Net):
    def train(self, *args, **kwargs):
        return super().train(*args, **kwargs)


class Flag(nn.Module):
    def train(self, flag):
        self.net.train(flag)
        self.loss.backward()
