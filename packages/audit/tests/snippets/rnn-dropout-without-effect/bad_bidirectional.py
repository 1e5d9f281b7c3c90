from torch import nn

# Two directions are one layer.
rnn = nn.LSTM(10, 20, bidirectional=True, dropout=0.2)  #! rnn-dropout-without-effect
