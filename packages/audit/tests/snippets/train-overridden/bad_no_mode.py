import torch
from torch import nn


class DARNN(nn.Module):
    """A model that trains itself."""

    def __init__(self, encoder, decoder, epochs):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.drop = nn.Dropout(0.3)
        self.epochs = epochs

    def train(self):  #! train-overridden
        for _ in range(self.epochs):
            self.optimizer.zero_grad()
            loss = self.loss(self.forward(self.x), self.y)
            loss.backward()
            self.optimizer.step()

    def forward(self, x):
        return self.decoder(self.drop(self.encoder(x)))
