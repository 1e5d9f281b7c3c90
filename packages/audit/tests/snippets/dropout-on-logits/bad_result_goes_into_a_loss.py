import torch.nn.functional as F
from torch import nn


class Tagger(nn.Module):
    def __init__(self, size, width):
        super().__init__()
        self.rnn = nn.LSTM(size, size)
        self.fc = nn.Linear(size, width)
        self.drop = nn.Dropout(0.3)

    def states(self, x):
        h, _ = self.rnn(x)
        return self.drop(h)

    def emit(self, h):
        h = self.fc(h)
        h = self.drop(h)  #! dropout-on-logits advice
        return h

    def forward(self, x, y):
        h = self.states(x)
        h = self.emit(h)
        return F.cross_entropy(h.view(-1, h.size(-1)), y)


class Net(nn.Module):
    def __init__(self, size, width):
        super().__init__()
        self.fc = nn.Linear(size, width)
        self.drop = nn.Dropout(0.3)

    def forward(self, x):
        return self.drop(self.fc(x))  #! dropout-on-logits advice


def evaluate(data):
    net = Net(8, 4)
    return [F.softmax(net(x), dim=-1) for x in data]
