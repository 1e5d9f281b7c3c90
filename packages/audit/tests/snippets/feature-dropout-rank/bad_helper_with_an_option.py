from torch import nn


def dropout(p):
    return nn.Dropout2d(p) if p > 0 else nn.Identity()


def activated(name):
    return nn.ReLU if name == "relu" else nn.SiLU


class Head(nn.Module):
    def __init__(self, size, widths, p, name):
        super().__init__()
        activation = activated(name)
        layers = []
        for width in widths:
            layers.extend(
                [
                    nn.Linear(size, width),
                    activation(inplace=True),
                    dropout(p),  #! feature-dropout-rank advice
                ]
            )
            size = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)
