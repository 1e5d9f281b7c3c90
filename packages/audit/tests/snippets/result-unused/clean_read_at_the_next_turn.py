from torch import nn


class Stack(nn.Module):
    def __init__(self, depth=3, p=0.1):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(64, 64) for _ in range(depth)])
        self.drop = nn.Dropout(p)

    def forward(self, x):
        for layer in self.layers:
            y = layer(x)
            x = self.drop(y)
        return y

    def again(self, x):
        for _ in range(3):
            for layer in self.layers:
                y = layer(x)
            x = self.drop(y)
        return y

    def unless_given(self, x, given=None):
        for layer in self.layers:
            if given is None:
                given = layer(x)
            y = given
            given = self.drop(y)
        return y

    def kept_for_later(self, x):
        def last():
            return x

        self.later = last
        y = self.layers[0](x)
        x = self.drop(y)
        return y
