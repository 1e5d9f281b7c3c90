from torch import nn
from .spaces import Plugin, Uniform


class GAN(Plugin):
    def __init__(self, size=8, generator_dropout=0.1):  #! dropout-parameter-unused advice
        super().__init__()
        self.size = size
        self.generator_dropout = generator_dropout

    def space(self):
        return [Uniform(name="generator_dropout", low=0, high=0.2)]

    def fit(self, x):
        self.model = nn.ModuleDict({"g": self.make(generator_dropout=0, size=self.size)})
        return self
