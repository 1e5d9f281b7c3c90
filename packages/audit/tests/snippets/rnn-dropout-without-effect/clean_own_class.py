from torch import nn


class LSTM(nn.Module):
    def __init__(self, size, hidden, dropout=0.0):
        super().__init__()
        self.drop = nn.Dropout(dropout)


rnn = LSTM(10, 20, dropout=0.5)
