import torch


def make(keep_prob):
    return torch.nn.LSTM(10, 20, num_layers=2, dropout=keep_prob)  #! keep-probability-as-p
