import torch.nn.functional as F
from torch import nn

fc = nn.Linear(512, 10)
attention = nn.MultiheadAttention(512, 8)
rnn = nn.LSTM(10, 20, 2)
layer = nn.TransformerEncoderLayer(512, 8, 2048)


def drop(x, training):
    return F.dropout(x, 0.2, training)
