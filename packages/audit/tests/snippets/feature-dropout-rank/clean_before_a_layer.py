from torch import nn
from torch.nn import functional as F

from blocks import Head, Residual


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Residual(4, 8)
        self.drop = nn.Dropout2d(0.2)
        self.conv = nn.Conv1d(8, 8, 3)
        self.same = nn.Sequential(Residual(8, 8), nn.Dropout1d(0.2), nn.ReLU(), nn.Conv1d(8, 8, 3))
        self.between = nn.Sequential(nn.Dropout2d(0.2), Head(8, 8), nn.Conv1d(8, 8, 3))

    def forward(self, x, image):
        x = self.conv(self.drop(self.block(image)).squeeze(-1))
        x = F.conv1d(self.drop(image)[:, :, 0], x)
        x = self.conv(self.drop(image).flatten(2))
        return self.between(image) + self.same(x)
