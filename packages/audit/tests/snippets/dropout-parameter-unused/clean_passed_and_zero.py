from elsewhere import MLP

import torch


class Estimator:
    def __init__(self, hidden=64, dropout=0.1):
        self.hidden = hidden
        self.dropout = dropout

    def fit(self, x):
        self.model = MLP(self.hidden, dropout=self.dropout)
        return torch.optim.Adam(self.model.parameters())

    def best(self):
        return MLP(self.hidden, dropout=0)


class Settings:
    def __init__(self, dropout=0.1):
        self.dropout = dropout
