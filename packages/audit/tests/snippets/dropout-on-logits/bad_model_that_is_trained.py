import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    def __init__(self, width, out_dim):
        super().__init__()
        self.fc1 = nn.Linear(8, width)
        self.fc2 = nn.Linear(width, out_dim)
        self.drop = nn.Dropout(0.2)

    def forward(self, x):
        x = F.relu(self.fc1(x))
        return self.drop(self.fc2(x))  #! dropout-on-logits advice


class Encoder(nn.Module):
    def __init__(self, width, out_dim):
        super().__init__()
        self.fc = nn.Linear(width, out_dim)
        self.drop = nn.Dropout(0.2)

    def forward(self, x):
        return self.drop(self.fc(x))


def train(model, data, optimizer):
    criterion = nn.CrossEntropyLoss()
    for x, y in data:
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
