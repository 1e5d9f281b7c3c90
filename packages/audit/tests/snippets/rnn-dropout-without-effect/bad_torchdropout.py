import torchdropout as td
from torchdropout.nn import GRU

lstm = td.nn.LSTM(10, 20, dropout=0.5, recurrent_dropout=0.2)  #! rnn-dropout-without-effect
gru = GRU(10, 20, 1, True, False, 0.5)  #! rnn-dropout-without-effect
