from torch import nn

net = nn.Sequential(
    nn.Linear(8, 16),
    nn.BatchNorm1d(16),
    nn.ReLU(),
    nn.Dropout1d(0.2),  #! feature-dropout-rank advice
    nn.Linear(16, 4),
)
