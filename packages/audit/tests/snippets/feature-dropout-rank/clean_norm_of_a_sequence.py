from torch import nn

# BatchNorm1d takes three dimensions, too, and a convolution gives three.
net = nn.Sequential(
    nn.Conv1d(8, 16, 3),
    nn.BatchNorm1d(16),
    nn.ReLU(),
    nn.Dropout1d(0.2),
)
