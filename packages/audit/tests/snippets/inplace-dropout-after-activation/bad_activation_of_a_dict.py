from torch import nn

KINDS = {"relu": nn.ReLU(), "gelu": nn.GELU()}


class Net(nn.Module):
    def __init__(self, d, kind, p):
        super().__init__()
        only = {"relu": nn.ReLU()}
        act = only[kind]
        layers = [nn.Linear(d, d), act, nn.Dropout(p, inplace=True)]  #! inplace-dropout-after-activation
        self.body = nn.Sequential(*layers)
        self.tail = nn.Sequential(
            nn.Linear(d, d),
            KINDS["relu"],
            nn.Dropout(p, inplace=True),  #! inplace-dropout-after-activation
        )

    def forward(self, x):
        return self.tail(self.body(x))
