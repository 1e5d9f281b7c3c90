from torch import nn


class Own(nn.LSTM):
    def __init__(self, d, dropout=0.5):
        super().__init__(d, d, num_layers=1, dropout=dropout)  #! rnn-dropout-without-effect


class Net(nn.Module):
    def __init__(self, d, kind, cfg, cell=nn.GRU):
        super().__init__()
        self.rnn = getattr(nn, kind)(d, d, dropout=0.5)  #! rnn-dropout-without-effect
        self.cell = cell(d, d, dropout=0.3)  #! rnn-dropout-without-effect
        self.lstm = nn.LSTM(8, 8, 1, dropout=float(cfg["dropout"]))  #! rnn-dropout-without-effect advice
