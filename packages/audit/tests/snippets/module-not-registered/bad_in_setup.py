import pytorch_lightning as pl
from torch import nn


class Lit(pl.LightningModule):
    def setup(self, stage=None):
        self.drops = [nn.Dropout(0.1), nn.Dropout(0.2)]  #! module-not-registered

    def forward(self, x):
        return self.drops[0](x)
