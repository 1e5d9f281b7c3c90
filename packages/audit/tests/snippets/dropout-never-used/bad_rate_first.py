from torch import nn


class Block(nn.Module):
    def __init__(self, size, dropout=0.3):
        super().__init__()
        self.dropout = dropout
        self.attn = nn.MultiheadAttention(size, 4, dropout=self.dropout)
        self.dropout = nn.Dropout(self.dropout)  #! dropout-never-used advice

    def forward(self, x):
        return x + self.attn(x, x, x)[0]
