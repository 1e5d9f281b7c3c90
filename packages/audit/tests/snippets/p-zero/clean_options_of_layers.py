from torch import nn

a = nn.LSTM(10, 20, num_layers=2, dropout=0.0)
b = nn.MultiheadAttention(512, 8, dropout=0.0)
c = nn.TransformerEncoderLayer(512, 8, dropout=0.0)
