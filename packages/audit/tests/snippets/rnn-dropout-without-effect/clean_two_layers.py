from torch import nn

rnn = nn.LSTM(10, 20, num_layers=2, dropout=0.5)
