import torch


class Encoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(8)

    def train(self):  #! train-overridden
        super().train()
        return self

    def forward(self, x):
        return self.norm(x)
