import torch
from torch.utils.checkpoint import checkpoint


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = torch.nn.GRU(8, 8)

    def forward(self, x):
        return checkpoint(self.rnn, x, preserve_rng_state=False)
