from torch import nn


KINDS = {"lstm": nn.LSTM, "gru": nn.GRU}


def LSTM(size, hidden, **options):
    return nn.LSTM(size, hidden, **options)


class Net(nn.Module):
    def __init__(self, kind, size):
        super().__init__()
        cell = getattr(nn, kind)
        self.rnn1 = cell(size, size, num_layers=1, dropout=0.1)  #! rnn-dropout-without-effect
        self.rnn2 = KINDS.get(kind)(size, size, dropout=0.1)  #! rnn-dropout-without-effect
        self.rnn3 = dict(lstm=nn.LSTM)[kind](size, size, dropout=0.1)  #! rnn-dropout-without-effect
        self.rnn4 = nn.__dict__[kind](size, size, 1, dropout=0.1)  #! rnn-dropout-without-effect
        self.rnn5 = eval("nn." + kind)(size, size, 1, dropout=0.1)  #! rnn-dropout-without-effect
        self.lstm = LSTM(size, size, num_layers=1, dropout=0.1)  #! rnn-dropout-without-effect
