from abc import abstractmethod

from torch import nn


class Base(nn.Module):
    # For subclasses, which are in other files.
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)


class Abstract(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)

    @abstractmethod
    def forward(self, x):
        raise NotImplementedError
