from torch import nn


def make(size):
    return nn.ModuleDict({"drop": nn.Dropout1d(True), "fc": nn.Linear(size, size)})  #! dropout-as-flag
