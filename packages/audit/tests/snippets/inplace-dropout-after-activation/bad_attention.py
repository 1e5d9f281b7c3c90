from torch import nn


class Attention(nn.Module):
    """As in TNT: raises as soon as attn_drop is above 0."""

    def __init__(self, attn_drop=0.0):
        super().__init__()
        self.attn_drop = nn.Dropout(attn_drop, inplace=True)

    def forward(self, q, k, v):
        attn = q @ k.transpose(-2, -1)
        attn = attn.softmax(dim=-1)
        attn = self.attn_drop(attn)  #! inplace-dropout-after-activation
        return attn @ v
