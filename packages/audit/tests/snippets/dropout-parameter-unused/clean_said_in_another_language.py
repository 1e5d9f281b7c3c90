from torch import nn


class Block(nn.Module):
    def __init__(
        self,
        dim,
        dropout=0.1,  # 未使用
    ):
        super().__init__()
        self.fc = nn.Linear(dim, dim)

    def forward(self, x):
        return self.fc(x)


class Old(nn.Module):
    # 保留 dropout 参数，兼容旧配置
    def __init__(self, dim, dropout=0.1):
        super().__init__()
        self.fc = nn.Linear(dim, dim)

    def forward(self, x):
        return self.fc(x)
