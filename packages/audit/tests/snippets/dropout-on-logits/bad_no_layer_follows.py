import torch
import torch.nn.functional as F
from torch import nn

net = nn.Sequential(nn.Linear(8, 4), nn.Dropout(0.2))  #! dropout-on-logits advice
criterion = nn.CrossEntropyLoss()


def loss(x, y):
    return criterion(net(x), y)


other = nn.Sequential(nn.Linear(8, 4), nn.Dropout(0.2))  #! dropout-on-logits advice


def predict(x):
    y = other(x)
    return F.softmax(y, -1), torch.max(y, 1)


last = nn.Sequential(nn.Linear(8, 4), nn.Dropout(0.2))  #! dropout-on-logits advice
whole = nn.Sequential(nn.Linear(8, 8), last)
