import torch.nn.functional as F
from torch import nn


class GCN(nn.Module):
    def __init__(self, convs, p):
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.p = p

    def forward(self, x, edges):
        for conv in self.convs:
            x = conv(x, edges)
            x = F.relu(x)
            x = F.dropout(x, p=self.p, training=self.training)  #! dropout-on-logits advice
        return F.log_softmax(x, dim=1)
