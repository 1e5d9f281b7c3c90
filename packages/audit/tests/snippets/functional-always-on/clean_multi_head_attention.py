import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def forward(self, q, k, v):
        return F.multi_head_attention_forward(
            q, k, v, self.dim, self.heads, self.w, self.b, None, None, False,
            self.dropout, self.out.weight, self.out.bias, self.training,
        )


class WithoutDropout(nn.Module):
    def forward(self, x):
        return F.multi_head_attention_forward(
            x, x, x, self.dim, self.heads, self.w, self.b, None, None, False,
            dropout_p=0.0, out_proj_weight=self.out.weight, out_proj_bias=self.out.bias,
        )
