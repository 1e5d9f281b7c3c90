from torch import nn


class Block(nn.Module):
    def __init__(self, p=0.0, attn_drop: float = 0.0):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.attn_drop = nn.Dropout(attn_drop)
