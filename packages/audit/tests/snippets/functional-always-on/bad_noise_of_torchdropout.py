import torch

from torchdropout import functional as F


class Block(torch.nn.Module):
    def forward(self, x, old):
        x = F.gaussian_noise(x, 2.0)  #! functional-always-on
        x = F.drop_block2d(x, 0.1, 5)  #! functional-always-on
        return F.zoneout(x, old, 0.1)  #! functional-always-on
