from torch import nn


class G(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(8, 8, 3), nn.Dropout(0.5), nn.BatchNorm2d(8))  #! dropout-before-batchnorm advice
