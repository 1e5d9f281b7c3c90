from torch import nn


class Net(nn.Module):
    def drop(self, cache):
        cache.clear()

    def forward(self, x):
        self.drop(self.cache)
        return x
