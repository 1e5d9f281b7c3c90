import torch
from torch import nn


class Cells(nn.Module):
    def __init__(self, size, dropout=0.2):
        super().__init__()
        self.cell = nn.LSTMCell(size, size)
        self.dropout = dropout

    def forward(self, steps, h, c):
        keep = (1 - self.dropout) * h.new_ones(h.shape)
        of_input = torch.distributions.Bernoulli(probs=keep).sample()
        of_state = torch.distributions.Bernoulli(probs=keep).sample()
        for x in steps:
            if self.training:
                x = x * of_input / self.dropout  #! mask-not-scaled
                h = h * of_state / self.dropout  #! mask-not-scaled
            h, c = self.cell(x, (h, c))
        return h
