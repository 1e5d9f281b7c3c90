import lightning as L
from torch import nn


class Lit(L.LightningModule):
    def validation_step(self, batch, index):
        x, y = batch
        x = nn.Dropout(0.1)(x)  #! module-built-in-forward
        return self.net(x)
