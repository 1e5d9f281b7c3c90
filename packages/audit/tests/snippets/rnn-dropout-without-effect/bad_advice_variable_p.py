from torch import nn


class Net(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        # It has no effect whatever its value; but it may be 0 wherever this is used.
        self.rnn = nn.LSTM(10, 20, num_layers=1, dropout=dropout)  #! rnn-dropout-without-effect advice
