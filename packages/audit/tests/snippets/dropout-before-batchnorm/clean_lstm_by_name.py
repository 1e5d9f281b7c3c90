from torch import nn


class LSTMDropout(nn.Module):
    def __init__(self, d, p):
        super().__init__()
        self.lstm = nn.LSTM(d, d)

    def forward(self, x, state):
        return self.lstm(x, state)


class Layer(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.bn = nn.BatchNorm1d(d)
        self.rnn = LSTMDropout(d, 0.0)

    def forward(self, x, state):
        x, state = self.rnn(self.bn(x), state)
        return x, state


class Net(nn.Module):
    def __init__(self, d, n):
        super().__init__()
        self.layers = nn.ModuleList([Layer(d) for _ in range(n)])
        self.fc = nn.Linear(d, d)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        for layer in self.layers:
            x, _ = layer(x, None)
        return self.drop(self.fc(x))
