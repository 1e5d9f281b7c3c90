import torch
import torch.nn.functional as F
from torch import nn

first = nn.Sequential(nn.Linear(8, 4), nn.Dropout(0.2))
head = nn.Linear(4, 3)


def f(x):
    return head(first(x))


second = nn.Sequential(nn.Linear(8, 4), nn.Dropout(0.2))


def g(x):
    y = second(x)
    return head(y)


third = nn.Sequential(nn.Linear(8, 4), nn.Dropout(0.2))
net = nn.Sequential(third, head)

fourth = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.2))
a = torch.relu(fourth(torch.ones(2, 8)))

fifth = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.2))
b = fifth(torch.ones(2, 8))
c = F.relu(b)
