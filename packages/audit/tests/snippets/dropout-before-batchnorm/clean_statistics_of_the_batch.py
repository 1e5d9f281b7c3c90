import torch
import torch.nn.functional as F
from torch import nn


class BatchNormOfBatch(nn.modules.batchnorm._BatchNorm):
    def forward(self, x):
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum
        )


class Own(nn.Module):
    def __init__(self, c, p):
        super().__init__()
        self.conv = nn.Conv3d(c, c, 3)
        self.dropout = nn.Dropout3d(p)
        self.bn = BatchNormOfBatch(c)
        self.other = nn.BatchNorm3d(c, 1e-5, 0.1, True, False)
        self.third = nn.BatchNorm3d(c, track_running_stats=False)

    def forward(self, x):
        x = self.bn(self.conv(self.dropout(x)))
        x = self.other(self.dropout(x))
        x = self.third(self.dropout(x))
        x = F.batch_norm(self.dropout(x), None, None, training=True)
        return torch.batch_norm(self.dropout(x), None, None, None, None, True, 0.1, 1e-5, False)
