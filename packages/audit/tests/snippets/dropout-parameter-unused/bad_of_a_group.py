from torch import nn


class Attention(nn.Module):
    def __init__(self, d, heads, dropout_rate, lora_rank=8, lora_alpha=16, lora_dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.heads = heads
        self.drop = nn.Dropout(dropout_rate)
        self.fc = nn.Linear(d, d)
        self.down = nn.Linear(d, lora_rank)
        self.up = nn.Linear(lora_rank, d)
        self.scale = lora_alpha / lora_rank

    def forward(self, x):
        return self.drop(self.fc(x) + self.up(self.down(x)) * self.scale)


class Net(nn.Module):
    def __init__(self, d, n, rate, pitch_layers, pitch_heads, pitch_dropout):  #! dropout-parameter-unused advice
        super().__init__()
        self.body = nn.ModuleList(Attention(d, n, rate) for _ in range(n))
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(rate)

    def forward(self, x):
        return self.drop(self.fc(x))
