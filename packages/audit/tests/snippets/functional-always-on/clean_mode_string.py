import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def forward(self, x, mode="train"):
        if mode == "train":
            x = F.dropout(x, self.p)
        return x
