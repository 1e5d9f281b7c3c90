from torch import nn


class Net(nn.Module):
    # The rate acts on the output, whatever the number of layers; in the RNN it acts for two or more.
    def __init__(self, num_layers=1, dropout=0.1):
        super().__init__()
        self.rnn = nn.LSTM(10, 20, num_layers, dropout=dropout)  #! rnn-dropout-without-effect advice
        self.drop = nn.Dropout(dropout)

    def forward(self, x):
        return self.drop(self.rnn(x)[0])
