import pytorch_lightning as pl
import torch.nn.functional as F


class Lit(pl.LightningModule):
    def training_step(self, batch, index):
        return self.net(F.alpha_dropout(batch, 0.1)).sum()  #! functional-never-on
