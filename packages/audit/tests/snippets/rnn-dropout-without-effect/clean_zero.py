from torch import nn

a = nn.LSTM(10, 20, dropout=0.0)
b = nn.GRU(10, 20, num_layers=1, dropout=0)
c = nn.RNN(10, 20)
