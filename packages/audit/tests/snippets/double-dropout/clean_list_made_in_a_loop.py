from torch import nn


class Convs(nn.Module):
    # Each turn begins a list of its own, and what is added after it is given what the first returns.
    def __init__(self, widths, first, p):
        super().__init__()
        self.blocks = nn.ModuleList()
        for k, (a, b) in enumerate(zip(widths, widths[1:])):
            layers = []
            if k == 0 and first > 0:
                layers.append(nn.Dropout(first))
            layers.append(nn.Conv1d(a, b, 3))
            layers.append(nn.ReLU())
            if p > 0:
                layers.append(nn.Dropout(p))
            self.blocks.append(nn.Sequential(*layers))

    def forward(self, x):
        for block in self.blocks:
            x = x + block(x)
        return x
