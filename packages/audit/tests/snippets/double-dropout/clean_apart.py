from torch import nn

net = nn.Sequential(
    nn.Dropout(0.1), nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 1)
)
