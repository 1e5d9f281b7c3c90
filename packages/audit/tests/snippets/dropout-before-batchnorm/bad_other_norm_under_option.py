import torch.nn.functional as F
from torch import nn


class Layer(nn.Module):
    def __init__(self, layer_norm, batch_norm):
        super().__init__()
        self.layer_norm, self.batch_norm = layer_norm, batch_norm
        self.fc = nn.Linear(8, 8)
        self.ln, self.bn = nn.LayerNorm(8), nn.BatchNorm1d(8)

    def forward(self, x):
        y = F.dropout(self.fc(x), 0.1, self.training)  #! dropout-before-batchnorm advice
        x = x + y
        if self.layer_norm:
            x = self.ln(x)
        if self.batch_norm:
            x = self.bn(x)
        return x
