import torch
import torch.nn.functional as F
from torch import nn


def word_dropout(embedded, dropout=0.1, train=True):
    mask = torch.ones(embedded.shape[:2], device=embedded.device)
    return embedded * F.dropout(mask, dropout, train).unsqueeze(-1)


class Tagger(nn.Module):
    def __init__(self, vocabulary, dim, rate=0.1):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, dim)
        self.rate = rate

    def forward(self, words):
        return word_dropout(self.embedding(words), self.rate)  #! local-dropout-without-mode
