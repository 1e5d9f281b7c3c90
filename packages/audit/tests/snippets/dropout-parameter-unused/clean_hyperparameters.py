import torch
import torch.nn.functional as F
from torch import nn


from pytorch_lightning import LightningModule


class Lit(LightningModule):
    def __init__(self, dim=8, dropout=0.1):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Linear(dim, dim)
