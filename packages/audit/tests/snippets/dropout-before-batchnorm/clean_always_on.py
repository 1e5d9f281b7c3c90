import torch.nn.functional as F
from torch import nn


class Prenet(nn.Module):
    # It is on in evaluation, too, as in Tacotron 2: the variance that is stored is the same.
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(8, 8), nn.Linear(8, 8)
        self.bn = nn.BatchNorm1d(8)

    def forward(self, x):
        x = F.dropout(F.relu(self.fc1(x)), 0.5, training=True)
        return self.bn(self.fc2(x))
