import torch.nn.functional as F
from torch import nn


class Encoder(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.fc = nn.Linear(size, 64)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        x = self.fc(x)
        return self.drop(x)


class Mlp(nn.Module):
    def __init__(self, size, out_features):
        super().__init__()
        self.fc1 = nn.Linear(size, 4 * size)
        self.fc2 = nn.Linear(4 * size, out_features)
        self.drop = nn.Dropout(0.1)

    def forward(self, x):
        x = self.fc2(F.gelu(self.fc1(x)))
        x = self.drop(x)
        return x


encoder, head, criterion = Encoder(4), nn.Linear(64, 10), nn.CrossEntropyLoss()
