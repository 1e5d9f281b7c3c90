from torch import nn


class Attention(nn.Module):
    # It is built with the arguments of an attention, in another file, that has LoRA.
    def __init__(self, dim, rate, lora_list=None, lora_rank=8, lora_dropout=0.1):
        super().__init__()
        self.fc = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(rate)

    def forward(self, x):
        return self.dropout(self.fc(x))


class Dropped(nn.Module):
    def __init__(self, dim, dropout_rate, lora_list=None, lora_rank=8, lora_dropout=0.1):
        super().__init__()
        self.fc = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout_rate)

    def forward(self, x):
        return self.dropout(self.fc(x))
