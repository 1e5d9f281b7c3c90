import torch
import torch.nn.functional as F
from torch import nn


class MLP(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p
        self.fc1 = nn.Linear(8, 8)
        self.fc2 = nn.Linear(8, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(p)

    def batch_norm(self, inputs):
        if inputs.numel() == 0:
            return inputs
        if inputs.dim() == 3:
            x = inputs.view(inputs.size(0) * inputs.size(1), -1)
            x = self.norm(x)
            return x.view(inputs.size(0), inputs.size(1), -1)
        return self.norm(inputs)

    def forward(self, inputs):
        x = F.relu(self.fc1(inputs))
        x = F.dropout(x, self.p, training=self.training)  #! dropout-before-batchnorm advice
        x = F.relu(self.fc2(x))
        return self.batch_norm(x)

    def weights(self, x):
        return 2 * torch.sigmoid(self.norm(8**0.5 * self.drop(self.fc1(x))))  #! dropout-before-batchnorm advice
