import torch


class Net(torch.nn.Module):
    def __init__(self, p):
        super().__init__()
        self.drops = (torch.nn.Dropout(p), torch.nn.Dropout2d(p))  #! module-not-registered

    def forward(self, x):
        return self.drops[0](x)
