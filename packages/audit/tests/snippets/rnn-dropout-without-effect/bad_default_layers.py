from torch import nn

rnn = nn.LSTM(10, 20, dropout=0.5)  #! rnn-dropout-without-effect
