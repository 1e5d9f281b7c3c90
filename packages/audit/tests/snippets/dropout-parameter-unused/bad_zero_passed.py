from elsewhere import MLP

import torch


class Estimator:
    # It is no Module: the rate is that of the model that it builds.
    def __init__(self, hidden=64, dropout=0.1, device=None):  #! dropout-parameter-unused advice
        self.hidden = hidden
        self.dropout = dropout

    def fit(self, x):
        self.model = MLP(self.hidden, dropout=0)
        return torch.optim.Adam(self.model.parameters())
