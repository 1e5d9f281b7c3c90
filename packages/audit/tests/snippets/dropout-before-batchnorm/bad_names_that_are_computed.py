from torch import nn


class Net(nn.Module):
    def __init__(self, sizes, use_norm, drop):
        super().__init__()
        self.sizes, self.use_norm = sizes, use_norm
        self.deep_0_dropout = nn.Dropout(drop)
        self.deep_linear_1 = nn.Linear(8, 8)
        self.deep_norm_1 = nn.BatchNorm1d(8)
        for i, size in enumerate(sizes):
            setattr(self, "deep_linear_" + str(i + 2), nn.Linear(size, size))
            setattr(self, f"deep_norm_{i + 2}", nn.BatchNorm1d(size))
            setattr(self, "deep_" + str(i + 1) + "_dropout", nn.Dropout(drop))

    def forward(self, x):
        x = self.deep_0_dropout(x)  #! dropout-before-batchnorm advice
        x = self.deep_linear_1(x)
        if self.use_norm:
            x = self.deep_norm_1(x)
        x = x.relu()
        for i in range(len(self.sizes)):
            x = getattr(self, f"deep_{i + 1}_dropout")(x)  #! dropout-before-batchnorm advice
            x = getattr(self, "deep_linear_" + str(i + 2))(x)
            if self.use_norm:
                x = getattr(self, "deep_norm_" + str(i + 2))(x)
        return x


class Deep(nn.Module):
    def __init__(self, sizes, drop):
        super().__init__()
        self.sizes = sizes
        self.linear_0_dropout = nn.Dropout(drop)
        self.linear_1 = nn.Linear(8, 8)
        self.norm_1 = nn.BatchNorm1d(8)
        for i, size in enumerate(sizes):
            setattr(self, "linear_" + str(i + 2), nn.Linear(size, size))
            setattr(self, "norm_" + str(i + 2), nn.BatchNorm1d(size))

    def forward(self, x):
        x = self.linear_0_dropout(x)  #! dropout-before-batchnorm advice
        x = self.norm_1(self.linear_1(x)).relu()
        for i in range(len(self.sizes)):
            x = getattr(self, "linear_" + str(i + 2))(x)
            x = getattr(self, "norm_" + str(i + 2))(x).relu()
        return x
