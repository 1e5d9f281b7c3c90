import torch.nn.functional as F
from torch import nn


class GCN(nn.Module):
    def __init__(self, convs, p):
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.p = p

    def forward(self, x, edges):
        for number, conv in enumerate(self.convs):
            x = conv(x, edges)
            if number < len(self.convs) - 1:
                x = F.relu(x)
                x = F.dropout(x, p=self.p, training=self.training)
        return F.log_softmax(x, dim=1)

    def layers(self, x, edges):
        for conv in self.convs[:-1]:
            x = F.dropout(F.relu(conv(x, edges)), p=self.p, training=self.training)
        x = self.convs[-1](x, edges)
        return F.log_softmax(x, dim=1)

    def bias(self, x, bias):
        x = F.dropout(x, p=self.p, training=self.training)
        return F.softmax(x + bias, dim=1)
