import torch
import torch.nn.functional as F
from torch import nn


class MaskTokens(nn.Module):
    def __init__(self, mask_prob=0.15):
        super().__init__()
        self.mask_prob = mask_prob

    def forward(self, embeddings):
        mask = torch.rand(embeddings.shape[:2]) < self.mask_prob
        return embeddings.masked_fill(mask.unsqueeze(-1), 0)
