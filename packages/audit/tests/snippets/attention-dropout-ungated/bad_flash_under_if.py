from torch import nn
from transformers.utils import is_flash_attn_2_available

if is_flash_attn_2_available():
    from flash_attn import flash_attn_kvpacked_func


class FlashAttention(nn.Module):
    def forward(self, q, kv):
        return flash_attn_kvpacked_func(q, kv, self.attention_dropout, causal=True)  #! attention-dropout-ungated
