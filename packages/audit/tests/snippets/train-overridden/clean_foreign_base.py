from torch import nn

from .detector import Detector
from .trainers import BaseModel


class SceneParser(Detector):
    # It has an eval() of its own.
    def __init__(self, cfg):
        Detector.__init__(self, cfg)
        self.head = nn.Linear(8, 8)

    def train(self):
        self.head.train()
        self.training = True

    def eval(self):
        self.head.eval()
        self.training = False

    def forward(self, images):
        return self.head(images) if self.training else images


class CycleGAN(BaseModel):
    # A trainer, and no Module, although it has networks and a forward().
    def __init__(self, opt):
        BaseModel.__init__(self, opt)
        self.net = nn.Linear(8, 8)

    def train(self):
        self.net.train()

    def forward(self):
        self.fake = self.net(self.real)
