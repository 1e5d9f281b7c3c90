from torch import nn


class Attention(nn.Module):
    def __init__(self, size, layers, p):
        super().__init__()
        modules = []
        for _ in range(layers - 1):
            modules.append(nn.Linear(size, size))
            modules.append(nn.ReLU())
            modules.append(nn.Dropout(p))
        modules.append(nn.Linear(size, 1))
        self.attention = nn.Sequential(*modules)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x):
        scores = self.attention(x).squeeze(-1)
        weights = self.softmax(scores)
        return (x * weights.unsqueeze(-1)).sum(1)
