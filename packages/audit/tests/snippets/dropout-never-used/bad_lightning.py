import pytorch_lightning as pl
from torch import nn


class A(pl.LightningModule):
    def __init__(self, p):
        super().__init__()
        self.save_hyperparameters()
        self.fc = nn.Linear(8, 8)
        self.dropout = nn.Dropout(p)  #! dropout-never-used advice

    def forward(self, x):
        return self.fc(x)

    def training_step(self, batch, i):
        return self(batch).sum()
