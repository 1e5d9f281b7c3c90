from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.shake = nn.Dropout(0.3)
        self.lstm = nn.LSTM(8, 8, 2, dropout=0.3)

    def forward(self, x):
        if self.training is False:
            self.shake.p = 0.0  #! rate-zeroed-for-good
            self.lstm.dropout = 0.0  #! rate-zeroed-for-good
        x, _ = self.lstm(x)
        return self.shake(x)
