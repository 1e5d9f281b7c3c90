from torch import nn


class Norm(nn.Sequential):
    def __init__(self, size, kind=None, name=""):
        super().__init__()
        self.add_module(name + "norm", kind(size))


class Norm1d(Norm):
    def __init__(self, size, *, name=""):
        super().__init__(size, kind=nn.BatchNorm1d, name=name)


class Dense(nn.Sequential):
    def __init__(self, before, after, *, activation=nn.ReLU(), norm=False):
        super().__init__()
        self.add_module("fc", nn.Linear(before, after))
        if norm:
            self.add_module("norm", Norm1d(after))
        if activation is not None:
            self.add_module("activation", activation)


net = nn.Sequential(
    Dense(8, 8, norm=True),
    nn.Dropout(0.5),  #! dropout-before-batchnorm advice
    Dense(8, 8, norm=True),
    nn.Dropout(0.5),
    Dense(8, 2, activation=None),
)
