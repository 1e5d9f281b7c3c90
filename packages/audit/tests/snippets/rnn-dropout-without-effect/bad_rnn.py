from torch import nn as N

rnn = N.RNN(10, 20, 1, dropout=0.3, batch_first=True)  #! rnn-dropout-without-effect
