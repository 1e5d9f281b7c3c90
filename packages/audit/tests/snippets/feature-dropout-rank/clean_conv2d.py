from torch import nn

net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Dropout2d(0.1), nn.ReLU())
