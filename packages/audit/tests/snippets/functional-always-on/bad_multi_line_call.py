import torch.nn.functional as F
from torch import nn


class Encoder(nn.Module):
    def forward(self, x, mask=None):
        x = F.dropout(  #! functional-always-on
            x,
            p=self.dropout_rate,
            inplace=False,
        )
        return x
