import pytorch_lightning as pl
from torch import nn


class Lit(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.drops = [nn.AlphaDropout(0.1)] * 3  #! module-not-registered

    def forward(self, x):
        return self.drops[0](x)
