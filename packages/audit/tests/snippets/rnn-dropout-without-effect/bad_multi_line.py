from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(
            input_size=10,
            hidden_size=20,
            num_layers=1,
            dropout=0.5,  #! rnn-dropout-without-effect
        )
