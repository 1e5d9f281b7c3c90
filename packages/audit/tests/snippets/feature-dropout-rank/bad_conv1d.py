from torch import nn

net = nn.Sequential(
    nn.Conv1d(4, 8, 3),
    nn.Dropout2d(0.1),  #! feature-dropout-rank advice
    nn.ReLU(),
)
