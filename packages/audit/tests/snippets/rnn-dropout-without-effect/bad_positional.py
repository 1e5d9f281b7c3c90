from torch.nn import LSTM

rnn = LSTM(10, 20, 1, True, False, 0.3)  #! rnn-dropout-without-effect
