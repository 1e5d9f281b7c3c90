from torch import nn


def dropout(x, training, p=0.5):
    return x if training else x


class Net(nn.Module):
    def forward(self, x):
        return dropout(x, self.training)
