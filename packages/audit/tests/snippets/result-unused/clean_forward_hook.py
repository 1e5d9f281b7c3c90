from torch import nn


class Recorded(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = []
        self.drop = nn.Dropout(0.5)
        self.drop.register_forward_hook(lambda module, given, out: self.seen.append(out))

    def forward(self, x):
        self.drop(x)
        return self.seen.pop()
