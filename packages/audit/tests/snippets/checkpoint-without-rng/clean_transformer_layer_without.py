import torch
from torch.utils.checkpoint import checkpoint


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.TransformerEncoderLayer(512, 8, dropout=0.0)

    def forward(self, x):
        return checkpoint(self.layer, x, preserve_rng_state=False)
