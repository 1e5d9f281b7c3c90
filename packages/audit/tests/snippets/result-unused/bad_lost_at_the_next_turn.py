from torch import nn


class Stack(nn.Module):
    def __init__(self, depth=3, p=0.1):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(64, 64) for _ in range(depth)])
        self.drop = nn.Dropout(p)

    def forward(self, inputs):
        for layer in self.layers:
            output = layer(inputs)
            given = output
            given = self.drop(given)  #! result-unused
        return output
