from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

run = partial(checkpoint, use_reentrant=False)


class Module(nn.Module):
    def __init__(self, keep):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1))
        self.options = dict(preserve_rng_state=keep)
        self.later = dict(preserve_rng_state=False)
        self.later["preserve_rng_state"] = keep
        self.run = partial(checkpoint, preserve_rng_state=False)

    def forward(self, x):
        x = self.run(self.net, x, preserve_rng_state=True)
        x = run(self.net, x)
        x = checkpoint(self.net, x, **self.options)
        return checkpoint(self.net, x, **self.later)
