from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

run = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)
OPTIONS = {"use_reentrant": False, "preserve_rng_state": False}


class Module(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1))
        self.options = dict(preserve_rng_state=False)
        self.run = partial(checkpoint, preserve_rng_state=False)

    def forward(self, x):
        x = run(self.net, x)  #! checkpoint-without-rng
        x = self.run(self.net, x)  #! checkpoint-without-rng
        x = checkpoint(self.net, x, **OPTIONS)  #! checkpoint-without-rng
        return checkpoint(self.net, x, use_reentrant=False, **self.options)  #! checkpoint-without-rng
