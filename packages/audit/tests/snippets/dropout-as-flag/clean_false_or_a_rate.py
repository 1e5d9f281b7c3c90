from torch import nn


def conv(i, o, dropout=False):
    return nn.Dropout(dropout) if dropout else nn.Identity()


def layers(i, o, dropout=False):
    found = [nn.Conv2d(i, o, 3)]
    if dropout and o > 8:
        found += [nn.Dropout(dropout)]
    return nn.Sequential(*found)


class Block(nn.Module):
    def __init__(self, i, o, dropout=False):
        super().__init__()
        self.conv = nn.Conv2d(i, o, 3)
        self.drop = nn.Dropout2d(dropout)

    def forward(self, x):
        return self.drop(self.conv(x))


def plain(dropout=False):
    return nn.Dropout(dropout)


block = Block(3, 8, dropout=0.3)
drop = plain(0.25)
