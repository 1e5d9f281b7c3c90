from torch import nn

net = nn.Sequential(
    nn.Linear(8, 8),
    nn.GELU(),
    nn.Dropout(0.1, inplace=True),
    nn.Linear(8, 8),
    nn.SiLU(inplace=True),
    nn.Dropout(0.1, inplace=True),
    nn.Linear(8, 8),
    nn.LeakyReLU(0.2),
    nn.Dropout(0.1, inplace=True),
    nn.Linear(8, 8),
    nn.ELU(),
    nn.Dropout(0.1, inplace=True),
    nn.Linear(8, 8),
    nn.ReLU6(),
    nn.Dropout(0.1, inplace=True),
    nn.Linear(8, 8),
)
