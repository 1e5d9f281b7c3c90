from torch import nn


class Encoder(nn.Module):
    def __init__(self, size, rate=0.5, layers=1, cell="gru"):
        super().__init__()
        self.cell = cell
        if cell == "lstm":
            self.cell = nn.LSTM
        elif cell == "gru":
            self.cell = nn.GRU
        self.rnn = self.cell(size, size, layers, dropout=rate)  #! rnn-dropout-without-effect advice

    def forward(self, x):
        return self.rnn(x)[0]
