from torch import nn


class G(nn.Module):
    def __init__(self, norm=nn.BatchNorm2d):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Dropout(0.5), nn.Conv2d(3, 8, 3), norm(8))  #! dropout-before-batchnorm advice
