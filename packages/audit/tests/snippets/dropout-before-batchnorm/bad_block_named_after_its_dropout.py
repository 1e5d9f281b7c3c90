from torch import nn


class Conv_BatchNorm_Relu_Dropout(nn.Module):
    def __init__(self, wide, p):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv1d(8, wide, 3),
            nn.BatchNorm1d(wide),
            nn.ReLU(),
            nn.Dropout(p),  #! dropout-before-batchnorm advice
        )

    def forward(self, x):
        return self.block(x)


class Net(nn.Module):
    def __init__(self, p=0.2):
        super().__init__()
        self.first = Conv_BatchNorm_Relu_Dropout(8, p)
        self.second = Conv_BatchNorm_Relu_Dropout(8, p)

    def forward(self, x):
        return self.second(self.first(x))


class DenseDropout(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.dense = nn.Linear(8, 8)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return self.drop(self.dense(x).relu())  #! dropout-before-batchnorm advice


class Head(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.dense = DenseDropout(p)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x):
        return self.norm(self.dense(x))
