from torch import nn
from .encoder import Encoder


class Net(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.encoder = Encoder(rate)
        self.drop = nn.Dropout(rate)  #! dropout-never-used advice
        for p in list(self.encoder.blocks.children())[0].parameters():
            p.requires_grad = False

    def forward(self, x):
        return self.encoder(x)
