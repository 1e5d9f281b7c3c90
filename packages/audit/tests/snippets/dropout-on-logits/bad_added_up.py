import torch.nn.functional as F
from torch import nn


class Graphs(nn.Module):
    def __init__(self, sizes, dim_target, p):
        super().__init__()
        self.p = p
        self.layers = nn.ModuleList([nn.Linear(n, n) for n in sizes])
        self.heads = nn.ModuleList([nn.Linear(n, dim_target) for n in sizes])

    def forward(self, x):
        out = 0
        for i in range(len(self.layers)):
            x = self.layers[i](x).relu()
            out += F.dropout(self.heads[i](x), self.p, self.training)  #! dropout-on-logits advice
        return out


class Named(nn.Module):
    def __init__(self, sizes, outputs, p):
        super().__init__()
        self.drop = nn.Dropout(p)
        self.layers = nn.ModuleList([nn.Linear(n, n) for n in sizes])
        self.heads = nn.ModuleList([nn.Linear(n, outputs) for n in sizes])

    def forward(self, x):
        logit = 0.0
        for i, (layer, head) in enumerate(zip(self.layers, self.heads)):
            x = layer(x).relu()
            logit += self.drop(head(x))  #! dropout-on-logits advice
        logit = logit.squeeze(1)
        return logit
