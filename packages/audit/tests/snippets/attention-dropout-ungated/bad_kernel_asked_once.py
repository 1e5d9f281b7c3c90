import torch.nn.functional as F
from timm.layers import use_fused_attn
from torch import nn
from utils import has_flash

_FLASH = has_flash()


class Attention(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        self.p = p
        self.fused_attn = use_fused_attn()

    def forward(self, q, k, v):
        if self.fused_attn:
            return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)  #! attention-dropout-ungated
        if not _FLASH:
            return q
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)  #! attention-dropout-ungated
