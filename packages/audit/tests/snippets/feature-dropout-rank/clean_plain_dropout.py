from torch import nn

net = nn.Sequential(nn.Conv1d(3, 8, 3), nn.Dropout(0.1), nn.ReLU())
