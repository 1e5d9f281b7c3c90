from torch import nn


class Net(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = layers
        self.rnn = nn.LSTM(10, 20, num_layers=self.layers, dropout=0.5)
