from torch import nn
from torch.utils.checkpoint import checkpoint


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = nn.MultiheadAttention(64, 8)

    def forward(self, x):
        return checkpoint(self.attn, x, x, x, preserve_rng_state=False)[0]
