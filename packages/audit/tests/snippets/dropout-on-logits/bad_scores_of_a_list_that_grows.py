from torch import nn


class Attention(nn.Module):
    def __init__(self, size, layers, p, kind):
        super().__init__()
        activation = nn.ReLU() if kind == "relu" else nn.Tanh()
        modules = []
        for _ in range(layers - 1):
            modules.append(nn.Linear(size, size))
            modules.append(activation)
            modules.append(nn.Dropout(p))
        modules.append(nn.Linear(size, 1))
        modules.append(nn.Dropout(p))  #! dropout-on-logits advice
        self.attention = nn.Sequential(*modules)
        self.softmax = nn.Softmax(dim=-1)

    def forward(self, x):
        scores = self.attention(x).squeeze(-1)
        weights = self.softmax(scores)
        return (x * weights.unsqueeze(-1)).sum(1)
