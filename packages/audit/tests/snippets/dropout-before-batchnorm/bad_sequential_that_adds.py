from torch import nn


class G(nn.Sequential):
    def __init__(self):
        super().__init__()
        self.add_module("norm1", nn.BatchNorm2d(8))
        self.add_module("conv1", nn.Conv2d(8, 8, 3))
        self.add_module("drop", nn.Dropout(0.5))  #! dropout-before-batchnorm advice
        self.add_module("norm2", nn.BatchNorm2d(8))
        self.add_module("conv2", nn.Conv2d(8, 8, 3))
