from torch import nn


class SpatialDropout(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 3)
        self.drop = nn.Dropout2d(0.1)

    def forward(self, x):
        x = self.conv(x)
        x = x.unsqueeze(-1)
        x = self.drop(x)
        return x.squeeze(-1)
