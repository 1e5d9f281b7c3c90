from torch import nn

net = nn.Sequential(nn.Linear(8, 8, True), nn.Dropout(0.1), nn.ReLU(True), nn.Linear(8, 1, False))
