from torch import nn

net = nn.Sequential(
    nn.Linear(8, 16),
    nn.Dropout(0.5),  #! dropout-before-batchnorm advice
    nn.BatchNorm1d(16),
    nn.ReLU(),
    nn.Linear(16, 1),
)
