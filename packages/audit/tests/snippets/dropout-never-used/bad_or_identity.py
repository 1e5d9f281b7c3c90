from timm.layers import DropPath
from torch import nn


class Block(nn.Module):
    def __init__(self, dim, drop_path=0.0):
        super().__init__()
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()  #! dropout-never-used advice
        self.fc = nn.Linear(dim, dim)
        self.apply(self.init)

    def init(self, module):
        nn.init.zeros_(module.bias)

    def forward(self, x):
        return x + self.fc(x)
