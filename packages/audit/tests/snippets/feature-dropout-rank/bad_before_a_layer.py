from torch import nn

from blocks import Residual


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            Residual(4, 8),
            nn.Dropout2d(0.2),  #! feature-dropout-rank advice
            nn.Conv1d(8, 8, 2, stride=2),
        )
        self.block = Residual(8, 8)
        self.drop = nn.Dropout3d(0.2)
        self.conv = nn.Conv2d(8, 8, 3)

    def forward(self, x):
        x = self.layers(x)
        x = self.block(x)
        x = self.drop(x)  #! feature-dropout-rank advice
        return self.conv(x)
