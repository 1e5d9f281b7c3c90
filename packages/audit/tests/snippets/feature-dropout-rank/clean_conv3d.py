from torch import nn

net = nn.Sequential(nn.Conv3d(3, 8, 3), nn.Dropout3d(0.1), nn.ReLU())
