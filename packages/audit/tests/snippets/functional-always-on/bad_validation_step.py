import lightning.pytorch as pl
from torch.nn import functional as F


class Lit(pl.LightningModule):
    def validation_step(self, batch, batch_idx):
        x, y = batch
        return F.mse_loss(F.dropout(self.net(x), 0.1), y)  #! functional-always-on
