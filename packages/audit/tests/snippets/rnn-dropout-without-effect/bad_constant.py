from torch import nn

LAYERS = 1


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(10, 20, LAYERS, dropout=0.5)  #! rnn-dropout-without-effect
