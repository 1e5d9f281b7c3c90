from torch import nn

a = nn.Sequential(nn.Linear(8, 16), nn.Dropout(0.5), nn.ReLU())
b = nn.Sequential(nn.BatchNorm1d(16), nn.Linear(16, 1))
