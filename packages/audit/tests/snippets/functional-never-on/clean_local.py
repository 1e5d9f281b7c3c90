from torch import nn


def alpha_dropout(x, p):
    return x


class SNN(nn.Module):
    def forward(self, x):
        return alpha_dropout(x, 0.1)
