from torch import nn


class Model(nn.Module):
    def __init__(self, size=8, layers=2, p=0.1):
        super().__init__()
        self.layers = layers
        self.rnn = nn.LSTM(size, size, layers)
        self.drop = nn.Dropout(p)  #! dropout-never-used advice
        for i in range(layers):
            getattr(self.rnn, "bias_ih_l{}".format(i)).data.fill_(1.0)

    def forward(self, x):
        return self.rnn(x)[0]
