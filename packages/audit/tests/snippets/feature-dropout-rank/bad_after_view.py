import torch
from torch import nn


class MobileNet(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.features = nn.Conv2d(3, 8, 3)
        self.classifier = nn.Sequential(
            nn.Dropout2d(0.2),  #! feature-dropout-rank advice
            nn.Linear(8, classes),
        )

    def forward(self, x):
        x = self.features(x)
        return self.classifier(x.view(x.size(0), x.size(1)))


class Flat(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.drop = nn.Dropout2d(0.2)
        self.one = nn.Dropout1d(0.2)
        self.three = nn.Dropout3d(0.2)
        self.fc = nn.Linear(8, classes)

    def forward(self, x, y, z):
        x = torch.flatten(x, 1)
        x = self.drop(x)  #! feature-dropout-rank advice
        y = y.reshape((y.shape[0], -1)).relu()
        y = self.one(y)  #! feature-dropout-rank advice
        z = self.three(z.flatten(start_dim=1))  #! feature-dropout-rank advice
        return self.fc(x) + self.fc(y) + self.fc(z)


net = nn.Sequential(
    nn.Conv2d(3, 8, 3),
    nn.Flatten(),
    nn.Dropout2d(0.1),  #! feature-dropout-rank advice
    nn.Linear(8, 2),
)
