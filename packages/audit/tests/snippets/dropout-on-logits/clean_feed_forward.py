from torch import nn


class FeedForward(nn.Module):
    # The last dropout is the residual's, as in the transformer paper: no logits here.
    def __init__(self, dim, hidden, p):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(p), nn.Linear(hidden, dim), nn.Dropout(p)
        )

    def forward(self, x):
        return x + self.net(x)
