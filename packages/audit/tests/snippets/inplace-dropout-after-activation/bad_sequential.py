from torch import nn

net = nn.Sequential(
    nn.Linear(8, 8),
    nn.ReLU(),
    nn.Dropout(0.5, inplace=True),  #! inplace-dropout-after-activation
    nn.Linear(8, 8),
    nn.ReLU(True),
    nn.Dropout(0.5, True),  #! inplace-dropout-after-activation
    nn.Linear(8, 8),
    nn.Sigmoid(),
    nn.Identity(),
    nn.Dropout(0.5, inplace=True),  #! inplace-dropout-after-activation
    nn.Linear(8, 8),
)
