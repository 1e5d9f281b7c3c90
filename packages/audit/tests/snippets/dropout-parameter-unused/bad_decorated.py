import torch
from beartype import beartype
from torch import nn


class Attention(nn.Module):
    @beartype
    def __init__(self, *, dim: int, heads: int = 8, dropout: float = 0.0):  #! dropout-parameter-unused advice
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x):
        return self.qkv(x)


@torch.no_grad()
def sample(model, steps, noise_dropout=0.0):  #! dropout-parameter-unused advice
    x = torch.randn(8, 8)
    for _ in range(steps):
        x = model(x)
    return x
