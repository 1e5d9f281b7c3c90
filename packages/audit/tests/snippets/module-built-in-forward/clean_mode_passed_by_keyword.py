from torch import nn


class Net(nn.Module):
    def forward(self, x):
        drop = nn.Dropout(self.p)
        drop.train(mode=self.training)
        return drop(x)
