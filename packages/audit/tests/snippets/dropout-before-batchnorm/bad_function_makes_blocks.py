from torch import nn


def block(i, o):
    return nn.Sequential(nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU(), nn.Dropout(0.5))  #! dropout-before-batchnorm advice


net = nn.Sequential(block(8, 8), block(8, 8))
