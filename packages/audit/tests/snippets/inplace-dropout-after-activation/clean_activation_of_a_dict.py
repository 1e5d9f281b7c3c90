from torch import nn

KINDS = {"relu": nn.ReLU(), "gelu": nn.GELU()}


class Net(nn.Module):
    def __init__(self, d, kind, p):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(d, d), KINDS[kind], nn.Dropout(p, inplace=True))
        own = {"a": nn.ReLU()}
        own["a"] = nn.GELU()
        self.head = nn.Sequential(nn.Linear(d, d), own["a"], nn.Dropout(p, inplace=True))
        self.tail = nn.Sequential(nn.Linear(d, d), KINDS["gelu"], nn.Dropout(p, inplace=True))

    def forward(self, x):
        return self.tail(self.body(self.head(x)))
