import torch.nn.functional as F
from masks import mask_image
from torch import nn


class Block(nn.Module):
    def __init__(self, p, use_bn, masked):
        super().__init__()
        self.p = p
        self.masked = masked
        self.conv = nn.Conv2d(8, 8, 3)
        self.norm = nn.BatchNorm2d(8) if use_bn else None
        self.act = nn.ReLU()

    def forward(self, x):
        if self.p > 0:
            x = F.dropout(x, self.p, self.training)  #! dropout-before-batchnorm advice
        x = self.conv(x)
        if self.masked:
            x = mask_image(x)
        if self.norm is not None:
            x = self.norm(x)
        return self.act(x)
