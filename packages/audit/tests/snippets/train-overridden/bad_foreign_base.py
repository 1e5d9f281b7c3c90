from torch import nn

from .detector import Detector


class SceneParser(Detector):
    def __init__(self, cfg):
        Detector.__init__(self, cfg)
        self.head = nn.Linear(8, 8)

    def train(self):  #! train-overridden advice
        self.backbone.train()
        self.head.train()

    def forward(self, images, targets=None):
        if self.training and targets is None:
            raise ValueError("In training mode, targets should be passed")
        return self.head(self.backbone(images))
