from torch import nn

rnn = nn.RNN(8, 8, 1, "tanh", True, False, 0.5)  #! rnn-dropout-without-effect
