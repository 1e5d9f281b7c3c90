import torch.nn.functional as F
from torch import nn

attend = F.scaled_dot_product_attention if hasattr(F, "scaled_dot_product_attention") else None


class Attention(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p
        self.attend = getattr(F, "scaled_dot_product_attention", None)

    def forward(self, q, k, v):
        if attend is not None:
            return attend(q, k, v, dropout_p=self.p)  #! attention-dropout-ungated
        return self.attend(q, k, v, None, self.p)  #! attention-dropout-ungated


class Local(nn.Module):
    def forward(self, q, k, v):
        attend = None if self.slow else F.scaled_dot_product_attention
        return attend(q, k, v, dropout_p=self.p)  #! attention-dropout-ungated
