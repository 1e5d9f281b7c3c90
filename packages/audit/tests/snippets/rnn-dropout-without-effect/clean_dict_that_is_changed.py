from torch import nn


class Net(nn.Module):
    def __init__(self, size, layers):
        super().__init__()
        options = dict(num_layers=1, dropout=0.3)
        options["num_layers"] = layers
        self.one = nn.LSTM(size, size, **options)
        self.two = nn.LSTM(size, size, **{"num_layers": 2, "dropout": 0.3})
