from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout2d(0.1)
        self.conv = nn.Conv1d(8, 8, 3)

    def forward(self, x):
        x = self.drop(x)  #! feature-dropout-rank advice
        x = x.transpose(1, 2)
        return self.conv(x)
