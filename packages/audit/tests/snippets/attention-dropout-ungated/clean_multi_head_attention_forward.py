import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def forward(self, q, k, v):
        # It has an argument for the mode.
        return F.multi_head_attention_forward(
            q, k, v, self.dim, self.heads, self.w, self.b, None, None, False,
            self.dropout, self.out.weight, self.out.bias, training=self.training,
        )
