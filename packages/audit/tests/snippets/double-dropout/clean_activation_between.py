from torch import nn

net = nn.Sequential(
    nn.Linear(8, 8), nn.Dropout(0.1), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 1)
)
