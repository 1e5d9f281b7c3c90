from torch import nn


class Backbone(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body
        self.drop = nn.Dropout2d(0.1)

    def forward(self, x):
        return self.drop(self.body(x))

    def train(self, mode=True):  #! train-overridden
        """Batch norms stay in eval."""
        super().train()
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
