from torch import nn


class Attention(nn.Module):
    def __init__(self, d, heads, dropout_rate, shift=0, lora_rank=8, lora_alpha=16, lora_dropout=0.1):
        super().__init__()
        self.heads = heads
        self.shift = shift
        self.drop = nn.Dropout(dropout_rate)
        self.fc = nn.Linear(d, d)

    def forward(self, x):
        return self.drop(self.fc(x))
