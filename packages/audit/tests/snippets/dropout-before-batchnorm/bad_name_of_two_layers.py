from torch import nn


def mlp(sizes):
    layers = []
    for i in range(len(sizes)):
        if i == 0:
            fc = nn.Linear(8, sizes[i])
            layers.append(fc)
        else:
            fc = nn.Linear(sizes[i - 1], sizes[i])
            layers.append(fc)
        layers.append(nn.BatchNorm1d(sizes[i]))
        layers.append(nn.Dropout(0.1))  #! dropout-before-batchnorm advice
    return nn.Sequential(*layers)
