from torch import nn


class Trainer:
    """No Module: nothing calls its train() but who means it."""

    def __init__(self, net, epochs):
        self.net = nn.Sequential(net, nn.Dropout(0.1), nn.Linear(8, 8))
        self.epochs = epochs

    def train(self):
        self.net.train()
        for _ in range(self.epochs):
            self.net(self.x).sum().backward()
