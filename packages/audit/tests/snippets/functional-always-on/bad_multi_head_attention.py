import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def forward(self, q, k, v):
        out, _ = F.multi_head_attention_forward(  #! functional-always-on
            q, k, v, self.dim, self.heads, self.w, self.b, None, None, False,
            self.dropout, self.out.weight, self.out.bias,
        )
        return out


class ByName(nn.Module):
    def forward(self, x):
        return F.multi_head_attention_forward(  #! functional-always-on
            x, x, x, self.dim, self.heads, self.w, self.b, None, None, False,
            dropout_p=self.dropout,
            out_proj_weight=self.out.weight,
            out_proj_bias=self.out.bias,
            need_weights=False,
        )[0]
