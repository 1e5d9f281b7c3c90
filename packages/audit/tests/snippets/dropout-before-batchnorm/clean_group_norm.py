from torch import nn

net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Dropout(0.5), nn.GroupNorm(2, 8), nn.ReLU())
