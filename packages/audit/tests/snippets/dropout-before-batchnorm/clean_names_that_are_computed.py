from torch import nn


class Net(nn.Module):
    def __init__(self, sizes, drop):
        super().__init__()
        self.sizes = sizes
        self.deep_first = nn.Linear(8, 8)
        self.first_norm = nn.BatchNorm1d(8)
        for i, size in enumerate(sizes):
            setattr(self, "deep_" + str(i) + "_linear", nn.Linear(size, size))
            setattr(self, f"deep_{i}_norm", nn.LayerNorm(size))
            setattr(self, "deep_" + str(i) + "_dropout", nn.Dropout(drop))

    def forward(self, x):
        # `deep_*_dropout` is not `deep_first`.
        x = self.first_norm(self.deep_first(x).relu())
        for i in range(len(self.sizes)):
            x = getattr(self, "deep_" + str(i) + "_linear")(x)
            x = getattr(self, f"deep_{i}_norm")(x)
            x = getattr(self, f"deep_{i}_dropout")(x)
        return x
