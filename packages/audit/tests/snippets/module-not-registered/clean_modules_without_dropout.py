from torch import nn


class Block(nn.Module):
    # Nothing in it sees the mode: eval() has nothing to reach.
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return self.fc(x)


class Drops(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        return self.drop(x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = [Block() for _ in range(3)]
        self.heads = [Drops() for _ in range(3)]
        for i, head in enumerate(self.heads):
            self.add_module(f"head{i}", head)

    def forward(self, x):
        for each in self.blocks + self.heads:
            x = each(x)
        return x
