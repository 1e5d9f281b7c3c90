from torch import nn

layers = [
    nn.Linear(8, 16),
    nn.Dropout(0.1),
    nn.Dropout(0.1),  #! double-dropout advice
    nn.Linear(16, 1),
]
net = nn.Sequential(*layers)
