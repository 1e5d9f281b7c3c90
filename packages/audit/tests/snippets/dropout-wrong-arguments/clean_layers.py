import torch
import torch.nn.functional as F
from torch import nn


layers = [
    nn.TransformerEncoderLayer(8, 2, 32, 0.1, "gelu", batch_first=True, norm_first=True, bias=False),
    nn.LSTM(8, 8, 2, dropout=0.1, proj_size=4, bidirectional=True, device="cpu", dtype=torch.float32),
    nn.RNN(8, 8, 2, nonlinearity="relu", dropout=0.1),
    nn.GRU(input_size=8, hidden_size=8, num_layers=2, bias=True, batch_first=True, dropout=0.1),
]
