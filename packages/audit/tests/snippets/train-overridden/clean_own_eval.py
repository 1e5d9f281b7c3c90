from torch import nn


class Engine(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module
        self.drop = nn.Dropout(0.1)

    def train(self):
        for each in self.module:
            each.train()

    def eval(self):
        for each in self.module:
            each.eval()
