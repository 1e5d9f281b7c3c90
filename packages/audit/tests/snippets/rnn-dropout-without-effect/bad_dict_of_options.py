from torch import nn


class Net(nn.Module):
    def __init__(self, size):
        super().__init__()
        options = dict(num_layers=1, dropout=0.3)  #! rnn-dropout-without-effect
        more = {"batch_first": True, "dropout": 0.3}  #! rnn-dropout-without-effect
        self.one = nn.LSTM(size, size, **options)
        self.two = nn.GRU(size, size, **more)
