import copy

import torch
import torch.nn.functional as F


class Agent:
    def __init__(self, network):
        self.network = network
        self.target = copy.deepcopy(network)
        self.optimizer = torch.optim.Adam(self.network.parameters())

    def loss(self, x, following, reward):
        self.network.train()
        self.target.eval()
        with torch.no_grad():
            wanted = reward + self.target(following).amax(1)
        return F.mse_loss(self.network(x).amax(1), wanted)

    def fit(self, memory):
        for x, following, reward in memory:
            self.optimizer.zero_grad()
            self.loss(x, following, reward).backward()
            self.optimizer.step()
            for old, new in zip(self.target.parameters(), self.network.parameters(), strict=True):
                old.data.lerp_(new.data, 0.01)
            print(self.act(x))

    def act(self, x):
        self.network.eval()
        with torch.no_grad():
            return self.network(x).argmax(1)
