import torch

nn = torch.nn
F = nn.functional


class Net(nn.Module):
    def forward(self, x):
        return F.dropout3d(x, 0.1)  #! functional-always-on
