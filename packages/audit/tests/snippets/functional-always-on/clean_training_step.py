import lightning.pytorch as pl
from torch.nn import functional as F


class Lit(pl.LightningModule):
    # Lightning calls it in training only.
    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.mse_loss(self.net(F.dropout(x, 0.1)), y)
