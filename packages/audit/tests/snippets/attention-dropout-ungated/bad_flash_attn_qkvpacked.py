import flash_attn
from torch import nn


class FlashAttention(nn.Module):
    def forward(self, qkv):
        return flash_attn.flash_attn_qkvpacked_func(qkv, dropout_p=self.dropout_p)  #! attention-dropout-ungated
