from torch import nn

net = nn.Sequential(
    nn.Linear(8, 16),
    nn.Dropout(0.5),
    nn.Dropout(0.2),  #! double-dropout advice
    nn.Linear(16, 1),
)
