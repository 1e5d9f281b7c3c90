import torch.nn as nn


class Model(nn.Module):
    # eval() begins to train, with trainer=False
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.drop = nn.Dropout()

    def train(self, trainer=None, **kwargs):  #! train-overridden
        self.trainer = (trainer or self.find("trainer"))(overrides=kwargs)
        self.trainer.run()
        return self.trainer.metrics

    def forward(self, x):
        return self.drop(self.model(x))
