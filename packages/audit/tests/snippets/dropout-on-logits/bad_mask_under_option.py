import torch
import torch.nn.functional as F
from torch import nn


class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, q, k, v, mask=None):
        s = self.drop(torch.bmm(q, k.transpose(1, 2)))  #! dropout-on-logits advice
        if mask is not None:
            s = s.masked_fill(mask, -1e9)
        a = F.softmax(s, dim=-1)
        return torch.bmm(a, v)
