from torch import nn


def build(dropout=None):
    dropout = dropout or {}
    return nn.LSTM(8, 8, batch_first=True, dropout=dropout.get("rnn", 0.0))  #! rnn-dropout-without-effect advice
