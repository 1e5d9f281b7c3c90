from torch import nn
from torch.utils.checkpoint import checkpoint

PRESERVE = False


class Net(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return checkpoint(self.drop, x, use_reentrant=True, preserve_rng_state=PRESERVE)  #! checkpoint-without-rng
