from torch import nn
from torch.nn.functional import dropout


class KAN(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x):
        for layer in self.layers:
            x = dropout(layer(x), 0.1, self.training)
        return x

    def train(self, dataset, opt="LBFGS", steps=100):  #! train-overridden
        for step in range(steps):
            loss = self.loss(self(dataset["input"]), dataset["label"])
            loss.backward()
            self.optimizers[opt].step()
        return loss
