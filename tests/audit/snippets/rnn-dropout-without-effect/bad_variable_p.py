from torch import nn


class Net(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        # Whatever its value, it has no effect on the one layer there is.
        self.rnn = nn.LSTM(10, 20, num_layers=1, dropout=dropout)  #! rnn-dropout-without-effect
