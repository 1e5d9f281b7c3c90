from torch import nn

net = nn.Sequential(
    nn.Linear(8, 8),
    nn.Dropout(True),  #! dropout-as-flag
    nn.Linear(8, 1),
)
