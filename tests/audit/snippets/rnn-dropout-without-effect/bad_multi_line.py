from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(  #! rnn-dropout-without-effect
            input_size=10,
            hidden_size=20,
            num_layers=1,
            dropout=0.5,
        )
