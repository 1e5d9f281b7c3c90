from torch import nn

net = nn.Sequential(
    nn.Linear(64, 512), nn.Unflatten(1, (8, 8, 8)), nn.Dropout2d(0.1), nn.Conv2d(8, 8, 3)
)
