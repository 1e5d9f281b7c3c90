from torch import nn


class Boosted(nn.Module):
    # Half of the parameters are left over, and the rate is 0 unless somebody gives one.
    def __init__(
        self, inputs, outputs, hidden=32, bias=True, activation="relu", depth=2, norm=None, dropout=0.0
    ):
        super().__init__()
        self.first = nn.Linear(inputs, hidden, bias)
        self.last = nn.Linear(hidden, outputs)

    def forward(self, x):
        return self.last(self.first(x).relu())
