from torch import nn


def make():
    # In a test that expects the error it would be right.
    return nn.Dropout(1.1)  #! p-out-of-range
