from torch import nn

net = nn.Sequential(nn.Conv1d(3, 8, 3), nn.Dropout1d(0.1), nn.ReLU())
