from torch import nn


class Gate(nn.Module):
    # The Module below chooses a rate for it, whatever else has no use.
    def __init__(self, size=64, dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())

    def forward(self, x):
        return self.gate(x) * x


class Memory(nn.Module):
    def __init__(self, size, width, layers, mask, emb_p, hidden_p, dropoutm):  #! dropout-parameter-unused advice
        super().__init__()
        self.mask = mask
        self.rnn = nn.LSTM(size, width, layers, dropout=hidden_p)
        self.out = nn.Linear(64, 1)

    def forward(self, x):
        return self.out(self.rnn(x)[0])


class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gate = Gate(size=64, dropout=config.dropout)
        self.memory = Memory(64, 64, 2, True, 0, 0.2, dropoutm=config.mlp_dropout)

    def forward(self, x):
        return self.memory(self.gate(x))
