import torch
import torch.nn.functional as F
from torch import nn


class CustomDropout(nn.Module):
    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, X):
        mask = (torch.rand(X.shape, device=X.device) > self.p).float()
        return mask * X / (1.0 - self.p)  #! mask-always-on
