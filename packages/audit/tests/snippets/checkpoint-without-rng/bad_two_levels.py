from torch import nn
from torch.utils.checkpoint import checkpoint


class Inner(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return self.drop(x)


class Block(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.inner = Inner(p)
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        return self.inner(self.fc(x))


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.block = Block(p)

    def forward(self, x):
        return checkpoint(self.block, x, use_reentrant=False, preserve_rng_state=False)  #! checkpoint-without-rng
