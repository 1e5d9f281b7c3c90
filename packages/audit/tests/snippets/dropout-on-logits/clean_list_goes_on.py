from torch import nn


def mlp(size, num_labels):
    layers = [nn.Linear(size, num_labels)]
    layers.append(nn.ReLU())
    layers.append(nn.Dropout(0.2))
    return nn.Sequential(*layers, nn.Linear(num_labels, 2))
